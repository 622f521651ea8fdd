"""What tpm2-tools write: `tpm2_quote -m -s -o`, and keys of `tpm2_createak -u`.

Sources: tpm2-tools, lib/pcr.c (the three formats of PCRs) and man/common/signature.md; the structures of TPM 2.0
Library, part 2. In the format `serialized`, C structures are written with their unused array elements: a
TPML_PCR_SELECTION of 16 elements of 8 bytes, a number of lists, and for each a TPML_DIGEST of 8 elements of 66 bytes.
All its integers are little endian.
"""

from collections.abc import Iterator, Mapping, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.raw.tpm import TpmKey
from cloister.attestation.reader import Reader
from cloister.attestation.tpm.rsa import ALG_RSA, RsaPublic, RsaSignature
from cloister.attestation.tpm.structures import (
    ALG_ECC,
    ALG_ECDSA,
    ALG_RSASSA,
    ALG_SHA256,
    GENERATED_VALUE,
    PCR_COUNT,
    SHA256_SIZE,
    Attest,
    EccPublic,
    EcdsaSignature,
    PcrSelection,
    QuoteInfo,
    read_selections,
)

_RSA_SIZES = (256, 384, 512)
_SELECTIONS, _SELECTION_SIZE = 16, 8
_DIGESTS, _DIGEST_SIZE = 8, 66
_HEAD = 4 + _SELECTIONS * _SELECTION_SIZE + 4
_LIST = 4 + _DIGESTS * _DIGEST_SIZE
_MAX_LISTS = 12
_BANK_SIZES = {0x0004: 20, ALG_SHA256: 32, 0x000C: 48, 0x000D: 64}

Registers = Mapping[int, bytes]


def is_attest(data: bytes) -> bool:
    """Whether the bytes begin like a TPMS_ATTEST."""
    return data[:4] == GENERATED_VALUE.to_bytes(4)


def attest(data: bytes) -> bytes:
    """A TPMS_ATTEST of a quote, checked. Raises MalformedEvidence."""
    if Attest.parse(data).quote is None:
        raise MalformedEvidence("TPMS_ATTEST.type", 4, "is not that of a quote")
    return data


def is_signature(data: bytes) -> bool:
    """Whether the bytes begin like a TPMT_SIGNATURE."""
    return data[:2] in (ALG_RSASSA.to_bytes(2), ALG_ECDSA.to_bytes(2)) and data[2:4] in _hashes()


def is_public(data: bytes) -> bool:
    """Whether the bytes begin like a TPMT_PUBLIC, or a TPM2B_PUBLIC around one."""
    area = _area(data)
    return area[:2] in (ALG_RSA.to_bytes(2), ALG_ECC.to_bytes(2)) and area[2:4] in _hashes()


def _area(data: bytes) -> bytes:
    """The TPMT_PUBLIC, without the size before it if there is one."""
    return data[2:] if int.from_bytes(data[:2]) == len(data) - 2 else data


def _hashes() -> tuple[bytes, ...]:
    return tuple(algorithm.to_bytes(2) for algorithm in _BANK_SIZES)


def signature(data: bytes) -> bytes:
    """A TPMT_SIGNATURE, checked. Raises MalformedEvidence, also for another scheme or hash."""
    (EcdsaSignature if data[:2] == ALG_ECDSA.to_bytes(2) else RsaSignature).parse(data)
    return data


def is_plain_signature(data: bytes) -> bool:
    """Whether the bytes may be a signature of `-f plain`: RSA's number, or ECDSA's in DER."""
    return len(data) in _RSA_SIZES or is_ecdsa(data)


def is_ecdsa(data: bytes) -> bool:
    """Whether DER is a signature by ECDSA and nothing else."""
    try:
        return utils.encode_dss_signature(*utils.decode_dss_signature(data)) == data
    except ValueError:
        return False


def plain_signature(data: bytes) -> bytes:
    """The TPMT_SIGNATURE of a bare signature. Raises MalformedEvidence."""
    if len(data) in _RSA_SIZES:
        return RsaSignature(ALG_SHA256, data).marshal()
    try:
        r, s = utils.decode_dss_signature(data)
        return EcdsaSignature(ALG_SHA256, r, s).marshal()
    except (ValueError, OverflowError) as error:
        raise MalformedEvidence("signature", 0, "is not a DER signature of P-256") from error


def public(data: bytes, *, named: bool) -> TpmKey:
    """The key of a TPMT_PUBLIC or TPM2B_PUBLIC. Raises MalformedEvidence."""
    area = _area(data)
    parsed = RsaPublic.parse(area) if area[:2] == ALG_RSA.to_bytes(2) else EccPublic.parse(area)
    return TpmKey.of_public(parsed, named=named)


def spki(data: bytes, *, named: bool) -> TpmKey:
    """The key of a SubjectPublicKeyInfo (DER). Raises MalformedEvidence."""
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedEvidence("public key", 0, "is not a SubjectPublicKeyInfo of a supported kind") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in (2048, 3072, 4096):
        return TpmKey(key, None, named)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return TpmKey(key, None, named)
    raise MalformedEvidence("public key", 0, "is neither RSA of 2048 to 4096 bits nor P-256")


def is_spki(data: bytes) -> bool:
    """Whether DER is a public key, in its one encoding."""
    try:
        return load_der_public_key(data).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == data
    except (ValueError, UnsupportedAlgorithm):
        return False


def is_serialized(data: bytes) -> bool:
    """Whether the size is that of PCRs in the format `serialized`."""
    lists, rest = divmod(len(data) - _HEAD, _LIST)
    return rest == 0 and 1 <= lists <= _MAX_LISTS and 1 <= int.from_bytes(data[:4], "little") <= _SELECTIONS


def serialized(data: bytes) -> Registers:
    """The SHA-256 bank of PCRs in the format `serialized`. Raises MalformedEvidence."""
    reader = Reader(data, "PCRs", "little")
    count = reader.unsigned(4, "selections")
    selections = []
    for index in range(_SELECTIONS):
        bank = reader.unsigned(2, "selection.hash")
        size = reader.unsigned(1, "selection.size")
        bitmap = int.from_bytes(reader.take(4, "selection.bitmap"), "little")
        reader.take(1, "selection.filling")
        if index < count:
            if size > 4 or bitmap >> PCR_COUNT:
                raise reader.malformed("selection", f"selects PCRs beyond {PCR_COUNT - 1}")
            selections.append(_selection(bank, bitmap))
    lists = reader.unsigned(4, "lists")
    digests: list[bytes] = []
    for _ in range(min(lists, _MAX_LISTS)):
        used = reader.unsigned(4, "list.count")
        for index in range(_DIGESTS):
            size = reader.unsigned(2, "digest.size")
            content = reader.take(_DIGEST_SIZE - 2, "digest")
            if index < used:
                digests.append(content[:size])
    reader.end()
    return _of_banks(selections, digests)


def is_marshaled(data: bytes) -> bool:
    """Whether the bytes are PCRs in the format `marshaled`."""
    try:
        marshaled(data)
    except MalformedEvidence:
        return False
    return True


def marshaled(data: bytes) -> Registers:
    """The SHA-256 bank of PCRs in the format `marshaled` (big endian, as a TPM writes). Raises MalformedEvidence."""
    reader = Reader(data, "PCRs")
    selections = read_selections(reader, "selections")
    digests: list[bytes] = []
    lists = reader.unsigned(4, "lists")
    if not 1 <= lists <= _MAX_LISTS:
        raise reader.malformed("lists", f"are {lists}, must be 1 to {_MAX_LISTS}")
    for _ in range(lists):
        used = reader.unsigned(4, "list.count")
        if used > _DIGESTS:
            raise reader.malformed("list.count", f"is {used}, must be at most {_DIGESTS}")
        digests += [reader.sized(2, _DIGEST_SIZE - 2, "digest") for _ in range(used)]
    reader.end()
    return _of_banks(selections, digests)


def values(data: bytes, quote: QuoteInfo) -> Registers | None:
    """PCRs in the format `values`, which only the quote explains; None if they have another size."""
    sizes = [_BANK_SIZES.get(one.bank, 0) for one in quote.selections for _ in one.indices]
    if not sizes or len(data) != sum(sizes):
        return None
    places = [sum(sizes[:index]) for index in range(len(sizes))]
    digests = [data[place : place + size] for place, size in zip(places, sizes, strict=True)]
    return _of_banks(quote.selections, digests)


def _selection(bank: int, bitmap: int) -> PcrSelection:
    return PcrSelection(bank, tuple(index for index in range(PCR_COUNT) if bitmap >> index & 1))


def _of_banks(selections: Sequence[PcrSelection], digests: Sequence[bytes]) -> Registers:
    """The SHA-256 bank. Raises MalformedEvidence."""
    wanted = [(one.bank, index) for one in selections for index in one.indices]
    if len(wanted) != len(digests):
        raise MalformedEvidence("PCRs", 0, f"has {len(digests)} values for {len(wanted)} selected registers")
    found = dict(_bank(wanted, digests))
    if not found or any(len(value) != SHA256_SIZE for value in found.values()):
        raise MalformedEvidence("PCRs", 0, "has no SHA-256 bank, or values of another size in it")
    return found


def _bank(wanted: Sequence[tuple[int, int]], digests: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    for (bank, index), digest in zip(wanted, digests, strict=True):
        if bank == ALG_SHA256:
            yield index, digest
