"""Google's launch endorsement: the signed measurements of its firmware.

Source: gce-tcb-verifier, proto/endorsement.proto (VMLaunchEndorsement, VMGoldenMeasurement, VMSevSnp, VMTdx) and
verify/verify.go (RSA-PSS with SHA-256). Unknown fields are ignored: they are Google's, and signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.gcp.protobuf import Message
from cloister.attestation.x509 import pem
from cloister.attestation.x509.certificate import Certificate

MAX_SIZE = 64 * 1024
"""Bytes of a whole endorsement."""

MEASUREMENT_SIZE = 48
"""Bytes of a launch measurement, SHA-384."""

_MAX_BUNDLE = 8
_MIN_RSA_BITS = 2048
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)


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
        outer = Message(data, "launch endorsement")
        golden = outer.bytes_(1, "serialized_uefi_golden")
        message = Message(golden, "launch endorsement.golden")
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
    message = Message(data, "launch endorsement.golden.sev_snp")
    measurements: dict[int, bytes] = {}
    for entry in message.repeated(2, "measurements"):
        pair = Message(entry, "launch endorsement.golden.sev_snp.measurements")
        vcpus = pair.unsigned(1, "key")
        if vcpus in measurements:
            raise message.malformed("measurements", f"{vcpus} virtual CPUs come twice")
        measurements[vcpus] = _measurement(pair, 2, "value")
    return SnpFirmware(message.unsigned(1, "svn"), measurements, message.unsigned(5, "policy"))


def _tdx(data: bytes) -> TdxFirmware:
    message = Message(data, "launch endorsement.golden.tdx")
    mrtds = tuple(
        _measurement(Message(entry, "launch endorsement.golden.tdx.measurements"), 3, "mrtd")
        for entry in message.repeated(2, "measurements")
    )
    return TdxFirmware(message.unsigned(1, "svn"), mrtds)


def _bundle(text: bytes) -> tuple[Certificate, ...]:
    field = "launch endorsement.golden.ca_bundle"
    ders = pem.read(text, field, limit=MAX_SIZE, most=_MAX_BUNDLE) if text.strip() else ()
    return tuple(Certificate.parse(der, field) for der in ders)


def _measurement(message: Message, number: int, field: str) -> bytes:
    """The value of a required field with a SHA-384 digest."""
    value = message.bytes_(number, field)
    if len(value) != MEASUREMENT_SIZE:
        raise message.malformed(field, f"has {len(value)} bytes, must have {MEASUREMENT_SIZE}")
    return value
