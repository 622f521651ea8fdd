"""TPM structures round-trip, and anything else is malformed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.testkit import RsaTpm, SoftwareTpm
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.rsa import RsaPublic, RsaSignature

KIT = SoftwareTpm.create()
RSA_KIT = RsaTpm.create()
ATTEST = KIT.attest([bytes(32)] * 16, b"q" * 32)
NV = structures.NvPublic(structures.NV_AK_TEMPLATE, structures.ALG_SHA256, structures.NV_OWNER_READ, b"", 100)
SIGNATURE = structures.EcdsaSignature(structures.ALG_SHA256, 5, 1 << 255)
RSA_SIGNATURE = RsaSignature(structures.ALG_SHA256, b"s" * 256)

STRUCTURES: dict[str, tuple[bytes, Callable[[bytes], object], object]] = {
    "attest": (ATTEST.marshal(), structures.Attest.parse, ATTEST),
    "signature": (SIGNATURE.marshal(), structures.EcdsaSignature.parse, SIGNATURE),
    "public": (KIT.public().marshal(), structures.EccPublic.parse, KIT.public()),
    "template": (structures.AK_TEMPLATE.marshal(), structures.EccPublic.parse, structures.AK_TEMPLATE),
    "rsa-signature": (RSA_SIGNATURE.marshal(), RsaSignature.parse, RSA_SIGNATURE),
    "rsa-public": (RSA_KIT.public().marshal(), RsaPublic.parse, RSA_KIT.public()),
    "nv-public": (NV.marshal(), structures.NvPublic.parse, NV),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_round_trip(name: str) -> None:
    data, parse, value = STRUCTURES[name]
    assert parse(data) == value


@pytest.mark.parametrize("name", STRUCTURES)
def test_truncated_structures_are_malformed(name: str) -> None:
    data, parse, _ = STRUCTURES[name]
    for size in range(len(data)):
        with pytest.raises(MalformedEvidence):
            parse(data[:size])


@pytest.mark.parametrize("name", STRUCTURES)
def test_trailing_bytes_are_malformed(name: str) -> None:
    data, parse, _ = STRUCTURES[name]
    with pytest.raises(MalformedEvidence) as caught:
        parse(data + b"\0")
    assert caught.value.field.endswith(".end")
    assert caught.value.offset == len(data)


@pytest.mark.parametrize("name", STRUCTURES)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_a_structure_or_malformed(name: str, data: bytes) -> None:
    _, parse, _ = STRUCTURES[name]
    try:
        parse(data)
    except MalformedEvidence:
        pass


def test_template_is_the_standard_one() -> None:
    # Type ECC, name SHA-256, attributes, no policy, no symmetric, ECDSA-SHA256, P-256, no KDF, empty point.
    assert structures.AK_TEMPLATE.marshal().hex() == "0023000b000500720000001000180" + "00b000300100000" + "0000"


@pytest.mark.parametrize("kind", ["rsa", "sha384", "p384"])
def test_unsupported_key_types_are_malformed(kind: str) -> None:
    data = bytearray(KIT.public().marshal())
    place, value = {"rsa": (0, b"\x00\x01"), "sha384": (2, b"\x00\x0c"), "p384": (16, b"\x00\x04")}[kind]
    data[place : place + 2] = value
    with pytest.raises(MalformedEvidence) as caught:
        structures.EccPublic.parse(bytes(data))
    assert caught.value.offset == place


def test_too_many_pcr_selections_are_malformed() -> None:
    data = ATTEST.marshal()
    start = data.index(bytes.fromhex("00000001000b03ffff00"))
    with pytest.raises(MalformedEvidence):
        structures.Attest.parse(data[:start] + (17).to_bytes(4) + data[start + 4 :])


@pytest.mark.parametrize("bitmap", ["", "ffff", "ffff0000"])
def test_pcr_selection_has_one_encoding_of_24_bits(bitmap: str) -> None:
    data = ATTEST.marshal()
    spelled = bytes.fromhex("00000001000b03ffff00")
    other = spelled[:-4] + bytes([len(bitmap) // 2]) + bytes.fromhex(bitmap)
    assert data.count(spelled) == 1
    with pytest.raises(MalformedEvidence, match="pcrSelect"):
        structures.Attest.parse(data.replace(spelled, other))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\x00\x23"),  # ECC
        (2, b"\x00\x0c"),  # name by SHA-384
        (10, b"\x00\x06"),  # a symmetric algorithm
        (12, b"\x00\x16"),  # RSAPSS
        (14, b"\x00\x04"),  # SHA-1
        (16, b"\x04\x00"),  # 1024 bits
        (18, b"\x00\x00\x00\x03"),  # exponent 3
        (24, b"\x00"),  # a modulus of fewer bits
    ],
)
def test_unsupported_rsa_keys_are_malformed(place: int, value: bytes) -> None:
    data = RSA_KIT.public().marshal()
    with pytest.raises(MalformedEvidence) as caught:
        RsaPublic.parse(data[:place] + value + data[place + len(value) :])
    assert caught.value.offset <= place
