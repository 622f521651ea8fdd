"""What a verdict says of collateral: what it relied on, and what was ignored."""

from dataclasses import dataclass
from datetime import datetime

from cloister.protocol import canonical


@dataclass(frozen=True)
class Skipped:
    """An item of collateral that was ignored.

    kind: one of ``collateral_source.BROUGHT_KINDS``.
    digest: SHA-256 of its bytes.
    brought: true if the caller brought it, false if the evidence carried it.
    reason: what is wrong with it.
    place: the file or address that the caller has it from; may be empty.
    """

    kind: str
    digest: bytes
    brought: bool
    reason: str
    place: str = ""

    def value(self) -> dict[str, str]:
        """The JSON value; what is absent is omitted."""
        source = "caller" if self.brought else "evidence"
        place = {"place": self.place} if self.place else {}
        return {"kind": self.kind, "sha256": self.digest.hex(), "source": source, "reason": self.reason, **place}


@dataclass(frozen=True)
class Used:
    """An item of collateral that the verdict relies on.

    kind: one of ``collateral_source.BROUGHT_KINDS``.
    name: what it is, in words.
    digest: SHA-256 of its bytes.
    source: which copy it is, one of ``collateral_source.ORIGINS``; ``place`` names file or address, if it has one.
    until: when it expires (aware); None if it does not.
    """

    kind: str
    name: str
    digest: bytes
    source: str
    place: str
    until: datetime | None

    def value(self) -> dict[str, str]:
        """The JSON value; what is absent is omitted."""
        return {
            "kind": self.kind,
            "name": self.name,
            "sha256": self.digest.hex(),
            "source": self.source,
            **({"place": self.place} if self.place else {}),
            **({"until": canonical.to_time(self.until)} if self.until is not None else {}),
        }
