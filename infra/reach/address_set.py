"""Sets of IPv4 addresses."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_LAST = (1 << 32) - 1


@dataclass(frozen=True)
class AddressSet:
    """``ranges`` are (first address, last address) as integers: sorted, disjoint and not adjacent."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str]) -> Self:
        """The union of ``networks``. Raises ValueError for anything that is not an IPv4 network or address."""
        found = [ipaddress.IPv4Network(text, strict=False) for text in networks]
        return cls._union((int(one.network_address), int(one.broadcast_address)) for one in found)

    @classmethod
    def _union(cls, ranges: Iterable[tuple[int, int]]) -> Self:
        union: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if union and first <= union[-1][1] + 1:
                union[-1] = (union[-1][0], max(last, union[-1][1]))
            else:
                union.append((first, last))
        return cls(tuple(union))

    def __or__(self, other: Self) -> Self:
        return self._union((*self.ranges, *other.ranges))

    def __and__(self, other: Self) -> Self:
        found = []
        mine, theirs = 0, 0
        while mine < len(self.ranges) and theirs < len(other.ranges):
            (first, last), (begin, end) = self.ranges[mine], other.ranges[theirs]
            if max(first, begin) <= min(last, end):
                found.append((max(first, begin), min(last, end)))
            if last < end:
                mine += 1
            else:
                theirs += 1
        return type(self)(tuple(found))

    def __sub__(self, other: Self) -> Self:
        return self & ~other

    def __invert__(self) -> Self:
        gaps = []
        start = 0
        for first, last in self.ranges:
            if start < first:
                gaps.append((start, first - 1))
            start = last + 1
        if start <= _LAST:
            gaps.append((start, _LAST))
        return type(self)(tuple(gaps))

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __ge__(self, other: Self) -> bool:
        """Whether ``other`` is a subset of this set."""
        return not other - self

    def display(self) -> tuple[str, ...]:
        """``networks``, or ``everywhere`` for any set that includes the whole internet."""
        return ("everywhere",) if self >= INTERNET else self.networks()

    def networks(self) -> tuple[str, ...]:
        """The smallest list of networks that covers the set exactly."""
        return tuple(
            str(network)
            for first, last in self.ranges
            for network in ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
        )


NOWHERE = AddressSet()
EVERYWHERE = AddressSet.of(["0.0.0.0/0"])

# Not routed on the internet: RFC 1918, 6598, 3927, 1122, 5771, 1112, and the address of Azure's hosts.
_NOT_ROUTED = ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12")
INTERNET = EVERYWHERE - AddressSet.of([*_NOT_ROUTED, "192.168.0.0/16", "224.0.0.0/3", "168.63.129.16/32"])
