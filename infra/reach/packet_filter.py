"""What gets through an ordered list of rules that allow and deny."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from infra.reach.address_set import EVERYWHERE, NOWHERE, Space

TCP, UDP, OTHER = "tcp", "udp", "other protocols"
PROTOCOLS = (TCP, UDP, OTHER)
ANYTHING = "anything"
"""All of them at once, for a reader."""

ANY_PORT = ((0, 65535),)

Ports = tuple[tuple[int, int], ...]


def ports_of(texts: Iterable[Any], *, sure: bool) -> Ports:
    """Of ``7`` and ``7-9``; what cannot be read is no port when they must be open for sure, else every port."""
    found: list[tuple[int, int]] = []
    for text in texts:
        first, _, last = str(text).partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.append((int(first), int(last or first)))
        elif not sure:
            return ANY_PORT
    return tuple(found)


@dataclass(frozen=True)
class Rule:
    """For one machine in one direction; ``addresses`` are those of the other end. ``ports`` do not matter to OTHER."""

    allow: bool
    protocols: tuple[str, ...] = PROTOCOLS
    ports: Ports = ANY_PORT
    addresses: Space = EVERYWHERE


@dataclass(frozen=True)
class Opening:
    """Traffic that gets through. ``ports`` is the first and the last one."""

    protocol: str
    ports: tuple[int, int]
    addresses: Space

    def narrowed(self, addresses: Space) -> "Opening":
        return Opening(self.protocol, self.ports, self.addresses & addresses)

    def service(self) -> str:
        """For a reader: ``tcp/6110``, ``udp/1-1023``, ``tcp``."""
        if self.protocol in (OTHER, ANYTHING) or self.ports == ANY_PORT[0]:
            return self.protocol
        first, last = self.ports
        return f"{self.protocol}/{first}" if first == last else f"{self.protocol}/{first}-{last}"


@cache
def openings(rules: tuple[Rule, ...], *, otherwise: bool) -> tuple[Opening, ...]:
    """What ``rules`` let through, the first that matches decides; ``otherwise`` is what happens where none does."""
    found: list[Opening] = []
    for protocol in PROTOCOLS:
        mine = [rule for rule in rules if protocol in rule.protocols]
        for first, last in _pieces(mine) if protocol != OTHER else ANY_PORT:
            addresses = _allowed(mine, first, otherwise=otherwise, all_ports=protocol == OTHER)
            if not addresses:
                continue
            before = found[-1] if found else None
            if (
                before
                and before.protocol == protocol
                and before.addresses == addresses
                and before.ports[1] + 1 == first
            ):
                found[-1] = Opening(protocol, (before.ports[0], last), addresses)
            else:
                found.append(Opening(protocol, (first, last), addresses))
    return tuple(found)


def narrowed(through: Iterable[Opening], addresses: Space) -> tuple[Opening, ...]:
    return tuple(less for opening in through if (less := opening.narrowed(addresses)).addresses)


def merged(through: Sequence[Opening]) -> tuple[Opening, ...]:
    """The same in fewer words: what is open to the same addresses by every protocol and port is open to anything."""
    whole = [opening for opening in through if opening.ports == ANY_PORT[0]]
    if len(through) == len(whole) == len(PROTOCOLS) and len({opening.addresses for opening in whole}) == 1:
        return (Opening(ANYTHING, ANY_PORT[0], whole[0].addresses),)
    return tuple(through)


def _allowed(rules: Sequence[Rule], port: int, *, otherwise: bool, all_ports: bool) -> Space:
    allowed, left = NOWHERE, EVERYWHERE
    for rule in rules:
        if all_ports or any(first <= port <= last for first, last in rule.ports):
            if rule.allow:
                allowed |= left & rule.addresses
            left -= rule.addresses
    return allowed | left if otherwise else allowed


def _pieces(rules: Iterable[Rule]) -> Iterable[tuple[int, int]]:
    """The ports, cut wherever a rule begins or ends."""
    starts = sorted(
        {0} | {edge for rule in rules for first, last in rule.ports for edge in (first, last + 1)} - {65536}
    )
    return list(zip(starts, [*(start - 1 for start in starts[1:]), 65535], strict=True))
