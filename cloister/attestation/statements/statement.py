"""A signed statement about images, of either kind, as it is in a file."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.statements import lifecycle, provenance
from cloister.attestation.statements.lifecycle import LifeCycle
from cloister.attestation.statements.provenance import Provenance
from cloister.protocol import canonical, dsse, text
from cloister.protocol.canonical import FormatError

MAX_SIZE = 512 * 1024
"""Bytes of a statement without its envelope."""

_KINDS = {provenance.PREDICATE_TYPE: Provenance, lifecycle.PREDICATE_TYPE: LifeCycle}
_SHOWN = 80


@dataclass(frozen=True)
class ImageStatement:
    """A statement in its envelope. Nothing in it counts before :meth:`signed_by` was asked for an expected key."""

    envelope: dsse.Envelope
    stated: Provenance | LifeCycle

    @classmethod
    def parse(cls, data: bytes, what: str = "image statement") -> Self:
        """From a DSSE envelope. ``what`` names it in errors. Raises MalformedEvidence."""
        try:
            return cls.read(data)
        except FormatError as error:
            raise MalformedEvidence(what, 0, error.message) from error

    @classmethod
    def read(cls, data: bytes, what: str = "The statement") -> Self:
        """The same. Raises FormatError."""
        envelope = dsse.Envelope.parse(data, what=what, limit=MAX_SIZE)
        value = canonical.parse(envelope.payload, what=what, limit=MAX_SIZE)
        kind = value.get("predicateType") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in _KINDS:
            raise FormatError(
                f"{what} is neither the provenance nor the life cycle of an image: its predicateType is "
                f"{text.printable(str(kind)[:_SHOWN])!r}."
            )
        return cls(envelope, _KINDS[kind].from_value(value))

    @property
    def until(self) -> datetime | None:
        """When it expires (aware); None for provenance, which does not."""
        return self.stated.expires if isinstance(self.stated, LifeCycle) else None

    def name(self) -> str:
        """What it is, in words."""
        if isinstance(self.stated, LifeCycle):
            return f"life cycle of images, counter {self.stated.counter}"
        image, builder = self.stated.manifest_digest.hex(), self.stated.builder
        return f"provenance of the image {self.stated.flavor} ({image[:16]}...) by the builder {builder[:16]}..."

    def value(self) -> Any:
        """The statement's JSON value."""
        return canonical.parse(self.envelope.payload, what="The statement", limit=MAX_SIZE)

    def signed_by(self, spki: bytes) -> bool:
        """Whether the key made it. A builder also has to be the one that its statement names."""
        return self.envelope.signed_by(spki)
