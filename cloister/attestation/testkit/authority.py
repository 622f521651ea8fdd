"""A certificate authority like that of a workspace."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.testkit.key_usage import AUTHORITY, SIGNER, key_usage
from cloister.attestation.x509.certificate import TCG_AIK, Certificate

_LIFETIME = timedelta(days=365)


@dataclass(frozen=True)
class Authority:
    """A self-signed P-256 authority, valid for a year from ``since``."""

    name: str
    key: ec.EllipticCurvePrivateKey
    since: datetime
    certificate: bytes

    @classmethod
    def create(cls, since: datetime, name: str = "Workspace") -> Self:
        """A new key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, name, key.public_key(), since, since + _LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(key_usage(*AUTHORITY), critical=True)
        return cls(name, key, since, _signed(builder, key))

    def spki_sha256(self) -> bytes:
        """Return the value that a policy pins, 32 bytes."""
        return Certificate.parse(self.certificate).fingerprint()

    def certify(
        self,
        public_key: ec.EllipticCurvePublicKey,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        usages: tuple[str, ...] = (TCG_AIK,),
        is_ca: bool = False,
        critical: tuple[str, ...] = (),
    ) -> bytes:
        """The certificate (DER) of an attestation key; ``critical`` are OIDs of unknown critical extensions."""
        since = not_before or self.since
        builder = _builder(self.name, "Attestation key", public_key, since, not_after or since + _LIFETIME)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(*(AUTHORITY if is_ca else SIGNER)), critical=True)
        if usages:
            oids = [x509.ObjectIdentifier(usage) for usage in usages]
            builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
        for oid in critical:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
        return _signed(builder, self.key)


def _builder(
    issuer: str, subject: str, key: ec.EllipticCurvePublicKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(_name(issuer))
        .subject_name(_name(subject))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
