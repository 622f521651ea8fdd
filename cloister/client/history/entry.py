"""One line of a history: something that a party accepted, when, and how."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from cloister.protocol import canonical


class AcceptedKind(StrEnum):
    """What is accepted."""

    IMAGE = "image"
    """The image of a CVM. The subject is the CVM's name, the digest that of the image manifest."""
    POLICY = "policy"
    """The party's own policy. It has no subject."""
    MANIFEST = "manifest"
    """The manifest of a computation. The subject is its name."""
    KEY = "key"
    """A party's key. The subject is the party's name, the digest the key's fingerprint."""
    STATEMENT = "statement"
    """A publisher's statement about its images, in a log of the publisher's own. The subject is the publisher's name in
    the policy, the label the statement's counter.
    """


class AcceptedHow(StrEnum):
    """Why it was accepted."""

    FIRST = "first"
    """Nothing of this kind and subject was accepted before."""
    CONFIRMED = "confirmed"
    """The party said yes to a change."""
    RULE = "rule"
    """The party's standing rule permits it."""
    KNOWN = "known"
    """It is another one than before, and decides nothing that was not accepted before."""


@dataclass(frozen=True)
class Accepted:
    """What is accepted. ``terms`` is the digest of what it decides: a manifest without id, name and description, a
    statement without its envelope.
    """

    kind: AcceptedKind
    subject: str
    digest: str
    terms: str
    label: str = ""
    """For people, such as an image's flavor."""

    @property
    def place(self) -> tuple[AcceptedKind, str]:
        """What it takes the place of: kind and subject."""
        return self.kind, self.subject

    def value(self) -> dict[str, str]:
        """The JSON value."""
        return {
            "kind": self.kind.value,
            "subject": self.subject,
            "digest": self.digest,
            "terms": self.terms,
            "label": self.label,
        }

    @classmethod
    def from_value(cls, value: dict[str, str]) -> Self:
        """From the JSON value, which its schema allows."""
        return cls(AcceptedKind(value["kind"]), value["subject"], value["digest"], value["terms"], value["label"])


@dataclass(frozen=True)
class HistoryEntry:
    """A line of the log."""

    sequence: int
    previous: str
    """Digest of the previous line, hex; zeros for the first."""
    time: str
    """RFC 3339 in UTC, of this computer's clock."""
    how: AcceptedHow
    accepted: Accepted
    replaces: str
    """The digest that was accepted before; empty if none was."""

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "version": 1,
            "sequence": self.sequence,
            "previous": self.previous,
            "time": self.time,
            "how": self.how.value,
            "accepted": self.accepted.value(),
            "replaces": self.replaces,
        }

    def digest(self) -> str:
        """SHA-256 of the canonical line, hex: the ``previous`` of the next one."""
        return canonical.digest(self.value()).hex()

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which its schema allows."""
        return cls(
            value["sequence"],
            value["previous"],
            value["time"],
            AcceptedHow(value["how"]),
            Accepted.from_value(value["accepted"]),
            value["replaces"],
        )
