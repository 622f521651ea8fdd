"""A software TPM as a verifier sees it: an attestation key that signs quotes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from cloister.attestation.tpm import structures
from cloister.attestation.tpm.rsa import RsaPublic, RsaSignature

# Part 2, TPMA_OBJECT: noDA.
_NO_DA = 1 << 10


class _Tpm:
    """What does not depend on the algorithm of the key."""

    def public(self) -> structures.EccPublic | RsaPublic:
        """The key's public area."""
        raise NotImplementedError

    def attest(self, pcrs: Sequence[bytes], qualifying: bytes) -> structures.Attest:
        """What a quote over ``pcrs`` (PCR 0 to 15) says, before it is signed."""
        name = b"\x00\x0b" + hashlib.sha256(self.public().marshal()).digest()
        digest = hashlib.sha256(b"".join(pcrs)).digest()
        return structures.Attest(
            magic=structures.GENERATED_VALUE,
            kind=structures.ST_ATTEST_QUOTE,
            qualified_signer=b"\x00\x0b" + hashlib.sha256((0x4000000B).to_bytes(4) + name).digest(),
            extra_data=qualifying,
            clock=1000,
            reset_count=1,
            restart_count=0,
            safe=True,
            firmware_version=0x2019102300163636,
            quote=structures.QuoteInfo(
                (structures.PcrSelection(structures.ALG_SHA256, structures.QUOTED_PCRS),), digest
            ),
        )


@dataclass(frozen=True)
class SoftwareTpm(_Tpm):
    """``attributes`` (TPMA_OBJECT) are what the key's public area says."""

    key: ec.EllipticCurvePrivateKey
    attributes: int = field(default=structures.AK_ATTRIBUTES)

    @classmethod
    def create(cls) -> Self:
        """A TPM with a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def public(self) -> structures.EccPublic:
        """The key's public area."""
        numbers = self.key.public_key().public_numbers()
        return structures.EccPublic(
            structures.ALG_SHA256, self.attributes, b"", numbers.x.to_bytes(32), numbers.y.to_bytes(32)
        )

    def sign(self, attest: bytes) -> bytes:
        """The TPMT_SIGNATURE over TPMS_ATTEST bytes."""
        r, s = utils.decode_dss_signature(self.key.sign(attest, ec.ECDSA(hashes.SHA256())))
        return structures.EcdsaSignature(structures.ALG_SHA256, r, s).marshal()


@dataclass(frozen=True)
class RsaTpm(_Tpm):
    """A TPM like Azure's, with an RSA 2048 key; ``attributes`` are those of Azure's key."""

    key: rsa.RSAPrivateKey
    attributes: int = field(default=structures.AK_ATTRIBUTES | _NO_DA)

    @classmethod
    def create(cls) -> Self:
        """A TPM with a new key."""
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def public(self) -> RsaPublic:
        """The key's public area."""
        modulus = self.key.public_key().public_numbers().n.to_bytes(256)
        return RsaPublic(structures.ALG_SHA256, self.attributes, b"", modulus)

    def sign(self, attest: bytes) -> bytes:
        """The TPMT_SIGNATURE over TPMS_ATTEST bytes."""
        signature = self.key.sign(attest, padding.PKCS1v15(), hashes.SHA256())
        return RsaSignature(structures.ALG_SHA256, signature).marshal()
