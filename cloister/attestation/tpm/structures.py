"""TPM 2.0 structures that attestation needs: parsing and marshalling.

Source: TCG, Trusted Platform Module Library, Part 2: Structures, revision 1.59. Each class names its structure, as
table numbers differ between revisions. All integers are big endian. Of the unions, the members for P-256 and SHA-256
are here and those for RSA in ``rsa.py``.
"""

from dataclasses import dataclass
from typing import Self

from cloister.attestation.reader import Reader

# Part 2: TPM_ALG_ID and TPM_ECC_CURVE
ALG_SHA256 = 0x000B
ALG_NULL = 0x0010
ALG_RSASSA = 0x0014
ALG_ECDSA = 0x0018
ALG_ECC = 0x0023
CURVE_P256 = 0x0003

# Part 2: TPM_GENERATED and TPM_ST
GENERATED_VALUE = 0xFF544347
ST_ATTEST_QUOTE = 0x8018

# Part 2: TPMA_OBJECT
OBJECT_FIXED_TPM = 1 << 1
OBJECT_FIXED_PARENT = 1 << 4
OBJECT_SENSITIVE_DATA_ORIGIN = 1 << 5
OBJECT_USER_WITH_AUTH = 1 << 6
OBJECT_RESTRICTED = 1 << 16
OBJECT_DECRYPT = 1 << 17
OBJECT_SIGN = 1 << 18

# Part 2: TPMA_NV
NV_OWNER_WRITE = 1 << 1
NV_AUTH_WRITE = 1 << 2
NV_OWNER_READ = 1 << 17
NV_AUTH_READ = 1 << 18
NV_NO_DA = 1 << 25

# Where GCP's vTPM keeps its attestation key; `local` does the same.
NV_AK_CERTIFICATE = 0x01C10002
NV_AK_TEMPLATE = 0x01C10003

PCR_COUNT = 24
QUOTED_PCRS = tuple(range(16))
SHA256_SIZE = 32

_MAX_SELECTIONS = 16
# TPM 2.0 Library, Part 2, TPMS_PCR_SELECTION: bitmaps have PCR_SELECT_MIN to PCR_SELECT_MAX bytes, and with the 24
# registers of a PC client both are 3.
_BITMAP_SIZE = PCR_COUNT // 8
_MAX_NAME = 66
_MAX_DATA = 66
_MAX_DIGEST = 64
_MAX_COORDINATE = 32


@dataclass(frozen=True)
class PcrSelection:
    """TPMS_PCR_SELECTION: the bank and the indices in ascending order."""

    bank: int
    indices: tuple[int, ...]

    def marshal(self) -> bytes:
        """The bytes that ``read_selections`` reads."""
        bitmap = sum(1 << index for index in self.indices)
        return self.bank.to_bytes(2) + _BITMAP_SIZE.to_bytes(1) + bitmap.to_bytes(_BITMAP_SIZE, "little")


def read_selections(reader: Reader, field: str) -> tuple[PcrSelection, ...]:
    """TPML_PCR_SELECTION."""
    count = reader.unsigned(4, f"{field}.count")
    if count > _MAX_SELECTIONS:
        raise reader.malformed(field, f"claims {count} PCR selections, at most {_MAX_SELECTIONS} are allowed")
    selections = []
    for _ in range(count):
        bank = reader.unsigned(2, f"{field}.hash")
        bitmap = reader.sized(1, _BITMAP_SIZE, f"{field}.pcrSelect")
        if len(bitmap) != _BITMAP_SIZE:
            raise reader.malformed(field, f"has a bitmap of {len(bitmap)} bytes, must have {_BITMAP_SIZE}")
        selected = int.from_bytes(bitmap, "little")
        selections.append(PcrSelection(bank, tuple(i for i in range(PCR_COUNT) if selected >> i & 1)))
    return tuple(selections)


@dataclass(frozen=True)
class QuoteInfo:
    """TPMS_QUOTE_INFO."""

    selections: tuple[PcrSelection, ...]
    pcr_digest: bytes


@dataclass(frozen=True)
class Attest:
    """TPMS_ATTEST as the TPM signed it.

    ``quote`` is None if ``kind`` is not TPM_ST_ATTEST_QUOTE or ``magic`` is not TPM_GENERATED: another structure then
    follows. ``clock`` counts milliseconds.
    """

    magic: int
    kind: int
    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    quote: QuoteInfo | None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence."""
        reader = Reader(data, "TPMS_ATTEST")
        magic = reader.unsigned(4, "magic")
        kind = reader.unsigned(2, "type")
        signer = reader.sized(2, _MAX_NAME, "qualifiedSigner")
        extra = reader.sized(2, _MAX_DATA, "extraData")
        clock = reader.unsigned(8, "clockInfo.clock")
        resets = reader.unsigned(4, "clockInfo.resetCount")
        restarts = reader.unsigned(4, "clockInfo.restartCount")
        safe = reader.unsigned(1, "clockInfo.safe")
        if safe > 1:
            raise reader.malformed("clockInfo.safe", f"is {safe}, must be 0 or 1", reader.offset - 1)
        firmware = reader.unsigned(8, "firmwareVersion")
        quote = None
        if magic == GENERATED_VALUE and kind == ST_ATTEST_QUOTE:
            selections = read_selections(reader, "attested.quote.pcrSelect")
            quote = QuoteInfo(selections, reader.sized(2, _MAX_DIGEST, "attested.quote.pcrDigest"))
            reader.end()
        return cls(magic, kind, signer, extra, clock, resets, restarts, safe == 1, firmware, quote)

    def marshal(self) -> bytes:
        """The bytes that ``parse`` reads."""
        head = self.magic.to_bytes(4) + self.kind.to_bytes(2) + sized(self.qualified_signer) + sized(self.extra_data)
        clock = self.clock.to_bytes(8) + self.reset_count.to_bytes(4) + self.restart_count.to_bytes(4)
        data = head + clock + self.safe.to_bytes(1) + self.firmware_version.to_bytes(8)
        if self.quote is not None:
            data += len(self.quote.selections).to_bytes(4)
            data += b"".join(selection.marshal() for selection in self.quote.selections)
            data += sized(self.quote.pcr_digest)
        return data


@dataclass(frozen=True)
class EcdsaSignature:
    """TPMT_SIGNATURE of the kind ECDSA: hash algorithm and the two integers."""

    hash_algorithm: int
    r: int
    s: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence, also for a signature of another kind."""
        reader = Reader(data, "TPMT_SIGNATURE")
        expect(reader, "sigAlg", ALG_ECDSA)
        hash_algorithm = expect(reader, "hash", ALG_SHA256)
        r = reader.sized(2, _MAX_COORDINATE, "signatureR")
        s = reader.sized(2, _MAX_COORDINATE, "signatureS")
        reader.end()
        return cls(hash_algorithm, int.from_bytes(r), int.from_bytes(s))

    def marshal(self) -> bytes:
        """The bytes that ``parse`` reads."""
        numbers = b"".join(sized(n.to_bytes(_MAX_COORDINATE)) for n in (self.r, self.s))
        return ALG_ECDSA.to_bytes(2) + self.hash_algorithm.to_bytes(2) + numbers


@dataclass(frozen=True)
class EccPublic:
    """TPMT_PUBLIC of an ECC P-256 key with the scheme ECDSA-SHA256 and no symmetric algorithm.

    ``x`` and ``y`` are empty in a template.
    """

    name_algorithm: int
    attributes: int
    auth_policy: bytes
    x: bytes
    y: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence, also for a key of another kind."""
        reader = Reader(data, "TPMT_PUBLIC")
        head = read_key_head(reader, ALG_ECC, ALG_ECDSA)
        expect(reader, "parameters.curveID", CURVE_P256)
        expect(reader, "parameters.kdf", ALG_NULL)
        x = reader.sized(2, _MAX_COORDINATE, "unique.x")
        y = reader.sized(2, _MAX_COORDINATE, "unique.y")
        reader.end()
        return cls(*head, x, y)

    def marshal(self) -> bytes:
        """The bytes that ``parse`` reads."""
        head = key_head(ALG_ECC, self.name_algorithm, self.attributes, self.auth_policy, ALG_ECDSA)
        return head + CURVE_P256.to_bytes(2) + ALG_NULL.to_bytes(2) + sized(self.x) + sized(self.y)

    @property
    def point(self) -> bytes:
        """The key as an uncompressed point (SEC 1, 2.3.3), 65 bytes."""
        return b"\x04" + self.x.rjust(_MAX_COORDINATE, b"\0") + self.y.rjust(_MAX_COORDINATE, b"\0")


AK_REQUIRED = OBJECT_FIXED_TPM | OBJECT_FIXED_PARENT | OBJECT_SENSITIVE_DATA_ORIGIN | OBJECT_RESTRICTED | OBJECT_SIGN
"""The attributes of an attestation key: it never leaves the TPM and signs only what the TPM itself made."""

AK_ATTRIBUTES = AK_REQUIRED | OBJECT_USER_WITH_AUTH
"""The attributes of the key in :data:`AK_TEMPLATE`, which is used with the empty password."""

AK_TEMPLATE = EccPublic(ALG_SHA256, AK_ATTRIBUTES, b"", b"", b"")
"""The template in NV 0x01c10003 from which TPM2_CreatePrimary makes the same key at every boot."""


@dataclass(frozen=True)
class NvPublic:
    """TPMS_NV_PUBLIC: an NV index and what it holds. ``size`` in bytes."""

    index: int
    name_algorithm: int
    attributes: int
    auth_policy: bytes
    size: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence."""
        reader = Reader(data, "TPMS_NV_PUBLIC")
        index = reader.unsigned(4, "nvIndex")
        name_algorithm = reader.unsigned(2, "nameAlg")
        attributes = reader.unsigned(4, "attributes")
        policy = reader.sized(2, _MAX_DIGEST, "authPolicy")
        size = reader.unsigned(2, "dataSize")
        reader.end()
        return cls(index, name_algorithm, attributes, policy, size)

    def marshal(self) -> bytes:
        """The bytes that ``parse`` reads."""
        head = self.index.to_bytes(4) + self.name_algorithm.to_bytes(2) + self.attributes.to_bytes(4)
        return head + sized(self.auth_policy) + self.size.to_bytes(2)


def sized(data: bytes) -> bytes:
    """A TPM2B: ``data`` after its size in 2 bytes."""
    return len(data).to_bytes(2) + data


def read_key_head(reader: Reader, kind: int, scheme: int) -> tuple[int, int, bytes]:
    """TPMT_PUBLIC up to the scheme's hash: name algorithm, attributes and policy of the key.

    The key must be of this ``kind``, with this ``scheme`` over SHA-256 and no symmetric algorithm. Raises
    MalformedEvidence.
    """
    expect(reader, "type", kind)
    name_algorithm = expect(reader, "nameAlg", ALG_SHA256)
    attributes = reader.unsigned(4, "objectAttributes")
    policy = reader.sized(2, _MAX_DIGEST, "authPolicy")
    expect(reader, "parameters.symmetric", ALG_NULL)
    expect(reader, "parameters.scheme", scheme)
    expect(reader, "parameters.scheme.hash", ALG_SHA256)
    return name_algorithm, attributes, policy


def key_head(kind: int, name_algorithm: int, attributes: int, policy: bytes, scheme: int) -> bytes:
    """The bytes that :func:`read_key_head` reads."""
    head = kind.to_bytes(2) + name_algorithm.to_bytes(2) + attributes.to_bytes(4) + sized(policy)
    return head + b"".join(value.to_bytes(2) for value in (ALG_NULL, scheme, ALG_SHA256))


def expect(reader: Reader, field: str, wanted: int) -> int:
    """The next 2 bytes, which must be ``wanted``. Raises MalformedEvidence."""
    start = reader.offset
    found = reader.unsigned(2, field)
    if found != wanted:
        raise reader.malformed(field, f"is {found:#06x}, must be {wanted:#06x}", start)
    return found
