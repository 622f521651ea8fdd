"""Which traffic an ordered list of allow and deny rules lets through."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from infra.reach.address_set import EVERYWHERE, NOWHERE, AddressSet

TCP, UDP, OTHER = "tcp", "udp", "other protocols"
PROTOCOLS = (TCP, UDP, OTHER)
ANY_PROTOCOL = "any protocol"
"""Stands for all of PROTOCOLS where traffic is shown to a person."""

ANY_PORT = ((0, 65535),)

Ports = tuple[tuple[int, int], ...]
"""Ranges of ports: first and last."""


def parse_ports(texts: Iterable[Any], *, lower_bound: bool) -> Ports:
    """Ports from texts such as ``7`` and ``7-9``.

    An unreadable text counts as no port when a ``lower_bound`` of the ports is wanted, otherwise as every port.
    """
    found: list[tuple[int, int]] = []
    for text in texts:
        first, _, last = str(text).partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.append((int(first), int(last or first)))
        elif not lower_bound:
            return ANY_PORT
    return tuple(found)


@dataclass(frozen=True)
class FilterRule:
    """A rule for one machine in one direction.

    ``addresses`` are those of the remote end. ``ports`` are ignored for OTHER, whose protocols have none.
    """

    allow: bool
    protocols: tuple[str, ...] = PROTOCOLS
    ports: Ports = ANY_PORT
    addresses: AddressSet = EVERYWHERE


@dataclass(frozen=True)
class Traffic:
    """Traffic of one protocol, to one range of ports (first, last), with any of the remote ``addresses``."""

    protocol: str
    ports: tuple[int, int]
    addresses: AddressSet

    def restricted_to(self, addresses: AddressSet) -> "Traffic":
        return Traffic(self.protocol, self.ports, self.addresses & addresses)

    def service(self) -> str:
        """Protocol and ports for a person: ``tcp/6110``, ``udp/1-1023``, ``tcp``."""
        if self.protocol in (OTHER, ANY_PROTOCOL) or self.ports == ANY_PORT[0]:
            return self.protocol
        first, last = self.ports
        return f"{self.protocol}/{first}" if first == last else f"{self.protocol}/{first}-{last}"


@cache
def allowed_traffic(rules: tuple[FilterRule, ...], *, default_allow: bool) -> tuple[Traffic, ...]:
    """The traffic that ``rules`` let through.

    The first rule that matches decides; ``default_allow`` decides about traffic that no rule matches.
    """
    found: list[Traffic] = []
    for protocol in PROTOCOLS:
        matching = [rule for rule in rules if protocol in rule.protocols]
        for first, last in _port_intervals(matching) if protocol != OTHER else ANY_PORT:
            addresses = _allowed(matching, first, default_allow=default_allow, all_ports=protocol == OTHER)
            if not addresses:
                continue
            before = found[-1] if found else None
            if (
                before
                and before.protocol == protocol
                and before.addresses == addresses
                and before.ports[1] + 1 == first
            ):
                found[-1] = Traffic(protocol, (before.ports[0], last), addresses)
            else:
                found.append(Traffic(protocol, (first, last), addresses))
    return tuple(found)


def restrict(traffic: Iterable[Traffic], addresses: AddressSet) -> tuple[Traffic, ...]:
    """``traffic`` with ``addresses`` only."""
    return tuple(less for one in traffic if (less := one.restricted_to(addresses)).addresses)


def summarize(traffic: Sequence[Traffic]) -> tuple[Traffic, ...]:
    """``traffic`` for a person: one entry if all protocols and ports are open to the same addresses."""
    whole = [one for one in traffic if one.ports == ANY_PORT[0]]
    if len(traffic) == len(whole) == len(PROTOCOLS) and len({one.addresses for one in whole}) == 1:
        return (Traffic(ANY_PROTOCOL, ANY_PORT[0], whole[0].addresses),)
    return tuple(traffic)


def _allowed(rules: Sequence[FilterRule], port: int, *, default_allow: bool, all_ports: bool) -> AddressSet:
    allowed, undecided = NOWHERE, EVERYWHERE
    for rule in rules:
        if all_ports or any(first <= port <= last for first, last in rule.ports):
            if rule.allow:
                allowed |= undecided & rule.addresses
            undecided -= rule.addresses
    return allowed | undecided if default_allow else allowed


def _port_intervals(rules: Iterable[FilterRule]) -> Iterable[tuple[int, int]]:
    """All ports, split wherever the ports of a rule begin or end."""
    starts = sorted(
        {0} | {edge for rule in rules for first, last in rule.ports for edge in (first, last + 1)} - {65536}
    )
    return list(zip(starts, [*(start - 1 for start in starts[1:]), 65535], strict=True))
