"""The binding of evidence: to one session or one receipt. All digests are SHA-256, 32 bytes.

The report data of the evidence is computed from the binding (:mod:`cloister.protocol.transcript`).
"""

from dataclasses import dataclass
from typing import Any

from cloister.attestation.errors import MalformedEvidence
from cloister.protocol import canonical, transcript
from cloister.v1 import evidence_pb2

DIGEST_SIZE = 32


@dataclass(frozen=True)
class SessionBinding:
    """Ties evidence to one session. ``manifest_digest`` is None before a manifest is submitted."""

    nonce: bytes
    tls_key_digest: bytes
    hpke_key_digest: bytes
    manifest_digest: bytes | None = None


@dataclass(frozen=True)
class ReceiptBinding:
    """Ties evidence to one receipt: the digest of its payload, its manifest, and the last event before it."""

    payload_digest: bytes
    manifest_digest: bytes
    log_head: bytes


Binding = SessionBinding | ReceiptBinding


def read_binding(message: evidence_pb2.Evidence) -> Binding:
    """The binding in an evidence message. Raises MalformedEvidence."""
    which = message.WhichOneof("binding")
    if which == "session":
        session = message.session
        manifest = session.manifest_digest or None
        binding: Binding = SessionBinding(session.nonce, session.tls_key_digest, session.hpke_key_digest, manifest)
    elif which == "receipt":
        receipt = message.receipt
        binding = ReceiptBinding(receipt.payload_digest, receipt.manifest_digest, receipt.log_head)
    else:
        raise MalformedEvidence("Evidence.binding", 0, "is absent")
    return _checked(binding)


def write_binding(binding: Binding, message: evidence_pb2.Evidence) -> None:
    """Sets ``session`` or ``receipt`` of the message."""
    if isinstance(binding, SessionBinding):
        message.session.nonce = binding.nonce
        message.session.tls_key_digest = binding.tls_key_digest
        message.session.hpke_key_digest = binding.hpke_key_digest
        message.session.manifest_digest = binding.manifest_digest or b""
    else:
        message.receipt.payload_digest = binding.payload_digest
        message.receipt.manifest_digest = binding.manifest_digest
        message.receipt.log_head = binding.log_head


def binding_from_value(value: dict[str, Any]) -> Binding:
    """From the JSON value, which has passed the schema. Raises FormatError or MalformedEvidence."""
    kind = SessionBinding if "session" in value else ReceiptBinding
    (members,) = value.values()
    what = "A digest of the evidence file"
    return _checked(kind(**{name: canonical.from_hex(digest, what=what) for name, digest in members.items()}))


def binding_value(binding: Binding) -> dict[str, Any]:
    """The JSON value; a manifest digest of None is omitted."""
    name = "session" if isinstance(binding, SessionBinding) else "receipt"
    return {name: {member: digest.hex() for member, digest in vars(binding).items() if digest is not None}}


def require_size(name: str, value: bytes | None, least: int, most: int) -> None:
    """Raises MalformedEvidence unless member ``name`` of the evidence is None or has ``least`` to ``most`` bytes."""
    if value is not None and not least <= len(value) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise MalformedEvidence(f"Evidence.{name}", 0, f"has {len(value)} bytes, must have {wanted}")


def _checked(binding: Binding) -> Binding:
    for name, value in vars(binding).items():
        require_size(f"binding.{name}", value, DIGEST_SIZE, DIGEST_SIZE)
    if binding.manifest_digest == transcript.NO_MANIFEST:
        # 32 zero bytes mean "no manifest" in the report data: as a digest they would be a second spelling of it.
        raise MalformedEvidence("Evidence.binding.manifest_digest", 0, "is zero instead of absent")
    return binding
