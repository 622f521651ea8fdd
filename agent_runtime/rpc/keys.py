"""The keys that the agent generates when it starts. They exist in its memory only."""

import datetime
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from cloister.protocol import signingkey


@dataclass(frozen=True)
class TlsIdentity:
    """A key and its self-signed certificate, both PEM; ``spki`` is DER. Evidence covers the key."""

    key: bytes
    certificate: bytes
    spki: bytes

    @classmethod
    def generate(cls) -> Self:
        """A fresh ECDSA P-256 key. The certificate never expires (RFC 5280, 4.1.2.5): the clock is the host's."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cloister agent")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
            .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("agent.cloister.invalid")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        return cls(
            key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            certificate=certificate.public_bytes(pem),
            spki=signingkey.spki_of(key.public_key()),
        )

    def digest(self) -> bytes:
        """SHA-256 of the SPKI, 32 bytes."""
        return hashlib.sha256(self.spki).digest()


@dataclass(frozen=True)
class EventKey:
    """Signs events and the receipt."""

    private: ed25519.Ed25519PrivateKey
    spki: bytes

    @classmethod
    def generate(cls) -> Self:
        """A fresh Ed25519 key."""
        private = ed25519.Ed25519PrivateKey.generate()
        return cls(private, signingkey.spki_of(private.public_key()))
