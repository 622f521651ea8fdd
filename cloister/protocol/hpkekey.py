"""The HPKE key pair that opens one session, and its wire format."""

from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from cloister.protocol.canonical import FormatError

SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_SIZE = 1184
PUBLIC_KEY_SIZE = _MLKEM_SIZE + 32
"""Bytes: ML-KEM-768 encapsulation key (FIPS 203 section 8), then X25519 public key (RFC 7748)."""


@dataclass(frozen=True)
class HpkeKeyPair:
    """A private key for one message, and its ``public`` key as on the wire (1,216 bytes)."""

    private: hpke.MLKEM768X25519PrivateKey
    public: bytes

    @classmethod
    def generate(cls) -> Self:
        """A fresh pair."""
        post_quantum, classical = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
        public = post_quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()
        return cls(hpke.MLKEM768X25519PrivateKey(post_quantum, classical), public)

    def open(self, sealed: bytes, *, info: bytes) -> bytes:
        """The plaintext of ``sealed``. Raises FormatError when it was not sealed to this key under ``info``."""
        try:
            return SUITE.decrypt(sealed, self.private, info=info)
        except (InvalidTag, ValueError) as error:
            raise FormatError("The sealed message cannot be decrypted.") from error


def seal(public: bytes, plaintext: bytes, *, info: bytes) -> bytes:
    """Seal ``plaintext`` to a public key as on the wire, HPKE base mode (RFC 9180). Raises FormatError."""
    if len(public) != PUBLIC_KEY_SIZE:
        raise FormatError(f"The session's public key has {len(public)} bytes; it must have {PUBLIC_KEY_SIZE}.")
    try:
        key = hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_SIZE]),
            x25519.X25519PublicKey.from_public_bytes(public[_MLKEM_SIZE:]),
        )
        return SUITE.encrypt(plaintext, key, info=info)
    except ValueError as error:
        raise FormatError("The session's public key is invalid.") from error
