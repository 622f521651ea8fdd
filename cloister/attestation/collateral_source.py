"""Where certificates come from that are neither in the quote nor pinned: carried by the evidence, or in memory.

Collateral is never trusted for where it came from; each item must chain to a pinned key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Collateral(Protocol):
    """A source of collateral. A source that has nothing of a kind returns nothing; it never raises."""

    def items(self, kind: str) -> Iterable[bytes]:
        """Everything of ``kind`` (one of ``evidence.COLLATERAL_KINDS``) that this source has."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Collateral that the caller holds: contents by kind."""

    contents: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def items(self, kind: str) -> Iterable[bytes]:
        """The contents of ``kind``."""
        return self.contents.get(kind, ())
