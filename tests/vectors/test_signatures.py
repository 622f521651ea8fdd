"""Public test vectors for every format of a signature that the verifier converts or parses itself.

Those of the package ``cryptography-vectors`` (NIST CAVP, draft-ietf-hpke-pq) always run. Wycheproof's run if
CLOISTER_WYCHEPROOF names the folder ``testvectors_v1`` of a checkout. GROUPS is the table in docs/testing.md.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cryptography_vectors
import pytest
from cryptography.hazmat.bindings._rust import openssl as rust
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa, x25519

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.report import FIELDS, SIZE, SnpReport
from cloister.attestation.snp.verify import is_signed_with as is_snp_signed
from cloister.attestation.tdx.signatures import is_signed_with as is_tdx_signed
from cloister.attestation.tpm.structures import EcdsaSignature
from cloister.attestation.x509.der import SEQUENCE, DerReader
from cloister.protocol import hpkekey
from tools.stubs import ROOT

WYCHEPROOF = os.environ.get("CLOISTER_WYCHEPROOF", "")
_PLACES = {name: (offset, size) for name, offset, size in FIELDS}


class Group(NamedTuple):
    """A file of vectors, what is tested with it, and how many are valid and invalid.

    ``other`` is how many cannot be written in the format at all; all of them are invalid.
    """

    source: str
    file: str
    format: str
    valid: int
    invalid: int
    other: int = 0


class Vector(NamedTuple):
    """One signature over ``message``, as big-endian r and s, or as the source has it."""

    key: object
    message: bytes
    signature: bytes
    valid: bool


_SIGVER, _HPKE = "asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", "HPKE/hpke-pq-test-vectors.json"
_TDX = "r and s of TDX, 32 bytes each, big endian"
_SNP = "r and s of a SEV-SNP report, 72 bytes each, little endian"
_TPM = "r and s of a TPM, sized, big endian"
_DER = "DER, by the reader of AMD's certificates"
_PSS = "RSA-PSS of AMD's certificates, 4096 bits, SHA-384"
NIST, WYCHEPROOF_NAME = "cryptography-vectors", "Wycheproof"
GROUPS = (
    Group(NIST, f"{_SIGVER} [P-256,SHA-256]", _TDX, 3, 12),
    Group(NIST, f"{_SIGVER} [P-256,SHA-256]", _TPM, 3, 12),
    Group(NIST, f"{_SIGVER} [P-384,SHA-384]", _SNP, 3, 12),
    Group(WYCHEPROOF_NAME, "ecdsa_secp256r1_sha256_p1363_test.json", _TDX, 173, 89),
    Group(WYCHEPROOF_NAME, "ecdsa_secp384r1_sha384_p1363_test.json", _SNP, 193, 68, 19),
    Group(WYCHEPROOF_NAME, "ecdsa_secp256r1_sha256_p1363_test.json", _TPM, 173, 68, 21),
    Group(WYCHEPROOF_NAME, "ecdsa_secp256r1_sha256_test.json", _DER, 174, 310),
    Group(WYCHEPROOF_NAME, "ecdsa_secp384r1_sha384_test.json", _DER, 194, 310),
    Group(WYCHEPROOF_NAME, "rsa_pss_4096_sha384_mgf1_48_test.json", _PSS, 95, 46),
)


def tdx(vector: Vector) -> bool:
    assert isinstance(vector.key, ec.EllipticCurvePublicKey)
    return is_tdx_signed(vector.key, vector.signature, vector.message)


def snp(vector: Vector) -> bool | None:
    """The signature as it stands in a report, read back by its parser; None if it does not fit there."""
    assert isinstance(vector.key, ec.EllipticCurvePublicKey)
    half = (vector.key.key_size + 7) // 8
    if len(vector.signature) != 2 * half:
        return None
    data = bytearray(SIZE)
    for name, value in (("version", 2), ("policy", 1 << 17), ("signature_algorithm", 1)):
        offset, size = _PLACES[name]
        data[offset : offset + size] = value.to_bytes(size, "little")
    for name, content in (("signature_r", vector.signature[:half]), ("signature_s", vector.signature[half:])):
        offset, size = _PLACES[name]
        data[offset : offset + size] = content[::-1].ljust(size, b"\0")
    report = SnpReport.parse(bytes(data))
    return is_snp_signed(vector.key, report.signature_r, report.signature_s, vector.message)


def tpm(vector: Vector) -> bool | None:
    """The signature as a TPMT_SIGNATURE, read back by its parser; None if it does not fit there."""
    assert isinstance(vector.key, ec.EllipticCurvePublicKey)
    half = (vector.key.key_size + 7) // 8
    if len(vector.signature) != 2 * half:
        return None
    parts = (vector.signature[:half], vector.signature[half:])
    marshalled = bytes.fromhex("0018000b") + b"".join(len(one).to_bytes(2) + one for one in parts)
    try:
        parsed = EcdsaSignature.parse(marshalled)
    except MalformedEvidence:
        return False
    return is_tdx_signed(vector.key, parsed.r.to_bytes(32) + parsed.s.to_bytes(32), vector.message)


def der(vector: Vector) -> bool:
    """Ecdsa-Sig-Value (RFC 3279), read by the reader that reads AMD's certificates."""
    assert isinstance(vector.key, ec.EllipticCurvePublicKey)
    try:
        outside = DerReader(vector.signature, "signature")
        inside = outside.inside(SEQUENCE, "value")
        r, s = inside.unsigned("r"), inside.unsigned("s")
        inside.end()
        outside.end()
    except MalformedEvidence:
        return False
    if vector.key.key_size == 384:
        return is_snp_signed(vector.key, r, s, vector.message)
    if max(r, s) >> 256:
        return False
    return is_tdx_signed(vector.key, r.to_bytes(32) + s.to_bytes(32), vector.message)


def pss(vector: Vector) -> bool:
    """The signed bytes and signature in the place of a VCEK's."""

    class Issuer:
        spki = b"" if not isinstance(vector.key, rsa.RSAPublicKey) else public(vector.key)

        key = vector.key

    leaf = object.__new__(EndorsementCertificate)
    for field in dataclasses.fields(EndorsementCertificate):
        object.__setattr__(leaf, field.name, None if field.init else field.default_factory())
    object.__setattr__(leaf, "tbs", vector.message)
    object.__setattr__(leaf, "signature", vector.signature)
    return leaf.signed_by(Issuer)


def public(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


JUDGES: dict[str, Callable[[Vector], bool | None]] = {_TDX: tdx, _SNP: snp, _TPM: tpm, _DER: der, _PSS: pss}


def vectors(group: Group) -> Iterator[Vector]:
    if group.source == NIST:
        file, section = group.file.split(" ")
        with cryptography_vectors.open_vector_file(file, "r") as opened:
            yield from nist(opened.read(), section)
        return
    for part in json.loads((Path(WYCHEPROOF) / group.file).read_bytes())["testGroups"]:
        key = serialization.load_der_public_key(bytes.fromhex(part["publicKeyDer"]))
        for test in part["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            yield Vector(key, message, signature, test["result"] == "valid")


def nist(text: str, section: str) -> Iterator[Vector]:
    """The vectors of one curve and hash in a file of the CAVP."""
    curve = {"[P-256,SHA-256]": ec.SECP256R1(), "[P-384,SHA-384]": ec.SECP384R1()}[section]
    size = (curve.key_size + 7) // 8
    body = text.split(section, 1)[1].split("[P-", 1)[0]
    for block in re.findall(r"Msg = .*?Result = .", body, re.DOTALL):
        values = dict(re.findall(r"(\w+) = (\w+)", block))
        x, y, r, s = (int(values[name], 16) for name in ("Qx", "Qy", "R", "S"))
        key = ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
        yield Vector(key, bytes.fromhex(values["Msg"]), r.to_bytes(size) + s.to_bytes(size), values["Result"] == "P")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group.source}-{group.file}-{group.format.split()[0]}")
def test_every_vector_is_judged_as_its_source_says(group: Group) -> None:
    if group.source == WYCHEPROOF_NAME and not WYCHEPROOF:
        pytest.skip("CLOISTER_WYCHEPROOF names no folder")
    valid = invalid = other = 0
    for number, vector in enumerate(vectors(group)):
        found = JUDGES[group.format](vector)
        if found is None:
            assert not vector.valid, number
            other += 1
            continue
        assert found == vector.valid, number
        valid, invalid = valid + found, invalid + (not found)
    assert (valid, invalid, other) == (group.valid, group.invalid, group.other)


def test_documentation_lists_every_group_with_its_numbers() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    for group in GROUPS:
        other = f", {group.other} not of this size" if group.other else ""
        row = f"| {group.source} | `{group.file}` | {group.format} | {group.valid} | {group.invalid}{other} |"
        assert row in page, row


def hybrid_vector() -> dict[str, object]:
    """The vector of the session's KEM and KDF. None of the published ones has its AEAD, AES-256-GCM, too."""
    with cryptography_vectors.open_vector_file(_HPKE, "r") as opened:
        found = json.load(opened)
    return next(one for one in found if (one["kem_id"], one["kdf_id"]) == (0x647A, 1))


def test_session_key_of_the_published_seed_has_the_published_wire_format_and_opens_what_was_sealed() -> None:
    vector = hybrid_vector()
    expand = hashes.Hash(hashes.SHAKE256(96))  # draft-irtf-cfrg-concrete-hybrid-kems, expandDecapsulationKey
    expand.update(bytes.fromhex(str(vector["skRm"])))
    seed = expand.finalize()
    post_quantum = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed[:64])
    classical = x25519.X25519PrivateKey.from_private_bytes(seed[64:])
    wire = post_quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()
    assert wire.hex() == vector["pkRm"]
    assert len(wire) == hpkekey.PUBLIC_KEY_SIZE

    first = vector["encryptions"][0]  # type: ignore[index]
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    private = hpke.MLKEM768X25519PrivateKey(post_quantum, classical)
    sealed = bytes.fromhex(str(vector["enc"]) + first["ct"])
    info, extra = bytes.fromhex(str(vector["info"])), bytes.fromhex(first["aad"])
    # All published messages have associated data, which the library takes in its own tests only.
    opened = rust.hpke._decrypt_with_aad(suite, sealed, private, info=info, aad=extra)
    assert opened.hex() == first["pt"]

    # What the session seals to that public key, the session opens with that private key, and nothing else.
    pair = hpkekey.HpkeKeyPair(private, wire)
    message = hpkekey.seal(wire, b"secret", info=b"transcript")
    assert pair.open(message, info=b"transcript") == b"secret"
    for changed in (message[:-1], message[:-1] + bytes([message[-1] ^ 1]), bytes([message[0] ^ 1]) + message[1:]):
        with pytest.raises(hpkekey.FormatError):
            pair.open(changed, info=b"transcript")
    with pytest.raises(hpkekey.FormatError):
        pair.open(message, info=b"another")
