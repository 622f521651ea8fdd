"""Google's launch endorsement: the signed measurements of its firmware.

Source: gce-tcb-verifier, proto/endorsement.proto (VMLaunchEndorsement, VMGoldenMeasurement, VMSevSnp, VMTdx) and
verify/verify.go (RSA-PSS with SHA-256). The protobuf wire format is parsed here, with the few rules that the message
needs: bounded sizes, known fields at most once unless repeated, no groups. Unknown fields are ignored: they are
Google's, and signed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader
from cloister.attestation.x509 import pem
from cloister.attestation.x509.certificate import Certificate

MAX_SIZE = 64 * 1024
"""Bytes of a whole endorsement."""

MEASUREMENT_SIZE = 48
"""Bytes of a launch measurement, SHA-384."""

_MAX_FIELDS = 4096
_MAX_BUNDLE = 8
_MIN_RSA_BITS = 2048
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class SnpFirmware:
    """VMSevSnp: ``measurements`` by number of virtual CPUs; ``policy`` is the guest policy of Google's launch."""

    svn: int
    measurements: Mapping[int, bytes]
    policy: int


@dataclass(frozen=True)
class TdxFirmware:
    """VMTdx: ``mrtds`` of the firmware for all memory sizes."""

    svn: int
    mrtds: tuple[bytes, ...]


@dataclass(frozen=True)
class LaunchEndorsement:
    """A parsed endorsement. Its signature is not verified yet.

    golden: the signed bytes (VMGoldenMeasurement).
    signature: over ``golden``, by the key of ``certificate``.
    certificate: of the signing key.
    issuers: certificates that came with the endorsement; may be empty.
    build: the changelist or commit that the firmware was built from.
    digest: SHA-384 of the firmware's file; may be empty.
    snp: measurements for SEV-SNP; None if it has no such measurements.
    tdx: measurements for TDX; None if it has no such measurements.
    """

    golden: bytes
    signature: bytes
    certificate: Certificate
    issuers: tuple[Certificate, ...]
    build: str
    digest: bytes
    snp: SnpFirmware | None
    tdx: TdxFirmware | None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From VMLaunchEndorsement. Raises MalformedEvidence."""
        if len(data) > MAX_SIZE:
            raise MalformedEvidence("launch endorsement", 0, f"has {len(data)} bytes, at most {MAX_SIZE} are allowed")
        outer = _Message(data, "launch endorsement")
        golden = outer.bytes_(1, "serialized_uefi_golden")
        message = _Message(golden, "launch endorsement.golden")
        snp, tdx = message.optional(7, "sev_snp"), message.optional(8, "tdx")
        commit = message.optional(3, "commit")
        return cls(
            golden=golden,
            signature=outer.bytes_(2, "signature"),
            certificate=Certificate.parse(message.bytes_(4, "cert"), "launch endorsement.golden.cert"),
            issuers=_bundle(message.optional(6, "ca_bundle") or b""),
            build=commit.hex() if commit else str(message.unsigned(2, "cl_spec")),
            digest=message.optional(5, "digest") or b"",
            snp=None if snp is None else _snp(snp),
            tdx=None if tdx is None else _tdx(tdx),
        )

    def signed(self) -> bool:
        """Return whether the certificate's RSA key made the signature."""
        key = self.certificate.parsed.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
            return False
        try:
            key.verify(self.signature, self.golden, _PSS, hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def _snp(data: bytes) -> SnpFirmware:
    message = _Message(data, "launch endorsement.golden.sev_snp")
    measurements: dict[int, bytes] = {}
    for entry in message.repeated(2, "measurements"):
        pair = _Message(entry, "launch endorsement.golden.sev_snp.measurements")
        vcpus = pair.unsigned(1, "key")
        if vcpus in measurements:
            raise message.malformed("measurements", f"{vcpus} virtual CPUs come twice")
        measurements[vcpus] = pair.measurement(2, "value")
    return SnpFirmware(message.unsigned(1, "svn"), measurements, message.unsigned(5, "policy"))


def _tdx(data: bytes) -> TdxFirmware:
    message = _Message(data, "launch endorsement.golden.tdx")
    mrtds = tuple(
        _Message(entry, "launch endorsement.golden.tdx.measurements").measurement(3, "mrtd")
        for entry in message.repeated(2, "measurements")
    )
    return TdxFirmware(message.unsigned(1, "svn"), mrtds)


def _bundle(text: bytes) -> tuple[Certificate, ...]:
    field = "launch endorsement.golden.ca_bundle"
    ders = pem.read(text, field, limit=MAX_SIZE, most=_MAX_BUNDLE) if text.strip() else ()
    return tuple(Certificate.parse(der, field) for der in ders)


class _Message:
    """One protobuf message: the values of its fields by number (protobuf.dev, "Encoding")."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        self._fields: dict[int, list[int | bytes]] = {}
        for count, (number, value) in enumerate(_fields(Reader(data, name, "little"))):
            if count == _MAX_FIELDS:
                raise self.malformed("fields", f"there are more than {_MAX_FIELDS}")
            self._fields.setdefault(number, []).append(value)

    def malformed(self, field: str, reason: str) -> MalformedEvidence:
        """The error for ``field``."""
        return MalformedEvidence(f"{self._name}.{field}", 0, reason)

    def repeated(self, number: int, field: str) -> tuple[bytes, ...]:
        """All values of a field of bytes or messages."""
        values = self._fields.get(number, [])
        found = tuple(value for value in values if isinstance(value, bytes))
        if len(found) != len(values):
            raise self.malformed(field, "is a number, must be bytes")
        return found

    def optional(self, number: int, field: str) -> bytes | None:
        """The value of a field of bytes that occurs at most once, or None."""
        values = self.repeated(number, field)
        if len(values) > 1:
            raise self.malformed(field, f"comes {len(values)} times")
        return values[0] if values else None

    def bytes_(self, number: int, field: str) -> bytes:
        """The value of a required field of bytes."""
        value = self.optional(number, field)
        if not value:
            raise self.malformed(field, "is absent or empty")
        return value

    def measurement(self, number: int, field: str) -> bytes:
        """The value of a required field with a SHA-384 digest."""
        value = self.bytes_(number, field)
        if len(value) != MEASUREMENT_SIZE:
            raise self.malformed(field, f"has {len(value)} bytes, must have {MEASUREMENT_SIZE}")
        return value

    def unsigned(self, number: int, field: str) -> int:
        """The value of an integer field, 0 if absent."""
        values = self._fields.get(number, [])
        if len(values) > 1:
            raise self.malformed(field, f"comes {len(values)} times")
        value = values[0] if values else 0
        if isinstance(value, bytes):
            raise self.malformed(field, "is bytes, must be a number")
        return value


def _fields(reader: Reader) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field."""
    while reader.remaining:
        start = reader.offset
        tag = _varint(reader, "tag")
        number, kind = tag >> 3, tag & 7
        field = f"field {number}"
        if number == 0:
            raise reader.malformed("tag", "has the field number 0", start)
        if kind == _VARINT:
            yield number, _varint(reader, field)
        elif kind == _BYTES:
            yield number, reader.take(_varint(reader, f"{field}.size"), field)
        elif kind in (_FIXED32, _FIXED64):
            yield number, reader.unsigned(4 if kind == _FIXED32 else 8, field)
        else:
            raise reader.malformed(field, f"has the wire type {kind}, which is not used", start)


def _varint(reader: Reader, field: str) -> int:
    """At most 10 bytes, 64 bits."""
    start, value = reader.offset, 0
    for shift in range(0, 70, 7):
        byte = reader.unsigned(1, field)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if value >> 64:
                break
            return value
    raise reader.malformed(field, "is a number of more than 64 bits", start)
