"""RSA members of the TPM's unions: a key that signs quotes with RSASSA and SHA-256, as Azure's vTPM has.

Source: TCG, Trusted Platform Module Library, Part 2: Structures, revision 1.59. Each class names its structure. All
integers are big endian. Any other scheme or hash is malformed.
"""

from dataclasses import dataclass
from typing import Self

from cloister.attestation.reader import Reader
from cloister.attestation.tpm.structures import ALG_RSASSA, ALG_SHA256, expect, key_head, read_key_head, sized

# Part 2: TPM_ALG_ID
ALG_RSA = 0x0001

_BITS = (2048, 3072, 4096)
_EXPONENT = 65537


@dataclass(frozen=True)
class RsaSignature:
    """TPMT_SIGNATURE of the kind RSASSA: hash algorithm and the signature (RFC 8017, section 8.2)."""

    hash_algorithm: int
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence, also for a signature of another kind."""
        reader = Reader(data, "TPMT_SIGNATURE")
        expect(reader, "sigAlg", ALG_RSASSA)
        hash_algorithm = expect(reader, "hash", ALG_SHA256)
        signature = reader.sized(2, max(_BITS) // 8, "sig")
        reader.end()
        return cls(hash_algorithm, signature)

    def marshal(self) -> bytes:
        """The bytes that ``parse`` reads."""
        return ALG_RSASSA.to_bytes(2) + self.hash_algorithm.to_bytes(2) + sized(self.signature)


@dataclass(frozen=True)
class RsaPublic:
    """TPMT_PUBLIC of an RSA key with the scheme RSASSA-SHA256, exponent 65537, no symmetric algorithm.

    ``modulus`` is as long as the key, 256, 384 or 512 bytes.
    """

    name_algorithm: int
    attributes: int
    auth_policy: bytes
    modulus: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence, also for a key of another kind."""
        reader = Reader(data, "TPMT_PUBLIC")
        head = read_key_head(reader, ALG_RSA, ALG_RSASSA)
        start = reader.offset
        bits = reader.unsigned(2, "parameters.keyBits")
        if bits not in _BITS:
            raise reader.malformed("parameters.keyBits", f"is {bits}, must be one of {_BITS}", start)
        # Part 2, section 12.2.3.5: zero stands for the default exponent.
        if reader.unsigned(4, "parameters.exponent"):
            raise reader.malformed("parameters.exponent", "is not the default, 65537", start + 2)
        start = reader.offset
        modulus = reader.sized(2, bits // 8, "unique")
        # Checked here because libraries differ in how they report a modulus that is too short or even.
        if len(modulus) != bits // 8 or not modulus[0] >> 7 or not modulus[-1] & 1:
            raise reader.malformed("unique", f"is not an odd number of {bits} bits", start)
        reader.end()
        return cls(*head, modulus)

    def marshal(self) -> bytes:
        """The bytes that ``parse`` reads."""
        head = key_head(ALG_RSA, self.name_algorithm, self.attributes, self.auth_policy, ALG_RSASSA)
        return head + (8 * len(self.modulus)).to_bytes(2) + bytes(4) + sized(self.modulus)

    @property
    def exponent(self) -> int:
        """The public exponent."""
        return _EXPONENT
