"""The approvals of a result: signatures of parties that its manifest names, kept beside the receipt."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloister.protocol import canonical, schema, signingkey, transcript

MAX_SIZE = 1024 * 1024
"""Bytes of all approvals of a result."""


@dataclass(frozen=True)
class Approval:
    """A party's approval as given: ``transcript`` is that of its session."""

    party: str
    transcript: bytes
    signature: bytes

    def is_signed(self, key: bytes, *, manifest_digest: bytes, payload_digest: bytes) -> bool:
        """Return whether ``key`` (SPKI) approved the result with this manifest and this receipt."""
        message = transcript.approval_message(
            manifest_digest=manifest_digest, payload_digest=payload_digest, transcript=self.transcript
        )
        return signingkey.verify(key, self.signature, message)

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "party": self.party,
            "transcript": canonical.to_base64(self.transcript),
            "signature": canonical.to_base64(self.signature),
        }


def encode(approvals: Iterable[Approval]) -> bytes:
    """Canonical JSON of all approvals of a result, sorted by party."""
    listed = [one.value() for one in sorted(approvals, key=lambda one: one.party)]
    return canonical.encode({"version": 1, "approvals": listed})


def parse(data: bytes) -> tuple[Approval, ...]:
    """From canonical JSON. Raises FormatError."""
    what = "The list of approvals"
    value = canonical.parse_canonical(data, what=what, limit=MAX_SIZE)
    schema.validate("approvals", value, what=what)
    found = [
        Approval(
            one["party"],
            canonical.from_base64(one["transcript"], what=f"{what}: a transcript"),
            canonical.from_base64(one["signature"], what=f"{what}: a signature"),
        )
        for one in value["approvals"]
    ]
    named = [one.party for one in found]
    if named != sorted(set(named)):
        raise canonical.FormatError(f"{what} must be sorted by party and name each once.")
    return tuple(found)
