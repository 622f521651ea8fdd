"""A software TPM as far as a verifier sees one: an attestation key that signs quotes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloister.attestation import tpm


@dataclass(frozen=True)
class SoftwareTpm:
    """``attributes`` (TPMA_OBJECT) are what the key's public area says."""

    key: ec.EllipticCurvePrivateKey
    attributes: int = field(default=tpm.AK_ATTRIBUTES)

    @classmethod
    def create(cls) -> Self:
        """A TPM with a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def public(self) -> tpm.EccPublic:
        """The key's public area."""
        numbers = self.key.public_key().public_numbers()
        return tpm.EccPublic(tpm.ALG_SHA256, self.attributes, b"", numbers.x.to_bytes(32), numbers.y.to_bytes(32))

    def attest(self, pcrs: Sequence[bytes], qualifying: bytes) -> tpm.Attest:
        """What a quote over ``pcrs`` (PCR 0 to 15) says, before it is signed."""
        name = b"\x00\x0b" + hashlib.sha256(self.public().marshal()).digest()
        digest = hashlib.sha256(b"".join(pcrs)).digest()
        return tpm.Attest(
            magic=tpm.GENERATED_VALUE,
            kind=tpm.ST_ATTEST_QUOTE,
            qualified_signer=b"\x00\x0b" + hashlib.sha256((0x4000000B).to_bytes(4) + name).digest(),
            extra_data=qualifying,
            clock=1000,
            reset_count=1,
            restart_count=0,
            safe=True,
            firmware_version=0x2019102300163636,
            quote=tpm.Quote((tpm.PcrSelection(tpm.ALG_SHA256, tpm.QUOTED_PCRS),), digest),
        )

    def sign(self, attest: bytes) -> bytes:
        """The TPMT_SIGNATURE over TPMS_ATTEST bytes."""
        r, s = utils.decode_dss_signature(self.key.sign(attest, ec.ECDSA(hashes.SHA256())))
        return tpm.EcdsaSignature(tpm.ALG_SHA256, r, s).marshal()
