"""VCEK and VLEK certificates are parsed strictly, with the same result with and without the library's parser."""

import dataclasses
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.snp.extensions import CSP_ID, HWID, LEVELS, PRODUCT_NAME, RESERVED, STRUCT_VERSION
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.testkit import Processor, SnpMachine
from cloister.attestation.verifier import SessionPurpose, verify

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROCESSOR = Processor.create(AT)
TURIN = Processor.create(AT, ProductLine.TURIN)
CLOUD = Processor.create(AT, kind=SigningKey.VLEK, amd=PROCESSOR.amd)
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
REFUSED = "this release does not load a serial number of 0"


def certified(processor: Processor = PROCESSOR, **terms: Any) -> bytes:
    terms.setdefault("hwid", processor.chip_id)
    return processor.amd.certify(processor.key.public_key(), processor.tcb, kind=processor.kind, **terms)


def changed(processor: Processor = PROCESSOR, **contents: bytes | None) -> bytes:
    """A certificate with changed extensions, named as in extensions.py."""
    oids = {"struct_version": STRUCT_VERSION, "product_name": PRODUCT_NAME, "hwid": HWID, "csp_id": CSP_ID}
    oids |= {"microcode": LEVELS[0]["microcode"], "reserved": RESERVED[0][0], "unknown": "1.3.6.1.4.1.3704.1.9"}
    return certified(processor, changes={oids[name]: content for name, content in contents.items()})


@pytest.fixture
def strict_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of `cryptography` that rejects what it only warns about today."""
    load = library.load_der_x509_certificate

    def loads(data: bytes, backend: object = None) -> library.Certificate:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return load(data)
            except Warning as warning:
                raise ValueError(REFUSED) from warning

    monkeypatch.setattr(library, "load_der_x509_certificate", loads)


def judged(processor: Processor) -> bool:
    machine = SnpMachine.create(processor)
    evidence = machine.session(nonce=SESSION.nonce, tls_key_digest=b"t" * 32, hpke_key_digest=b"h" * 32)
    cloud = processor.kind is SigningKey.VLEK
    section = machine.section(allow_vlek=cloud, vlek_clouds=("CN=cloud.example",) if cloud else ())
    policy = machine.policy(snp=section)
    return verify(evidence, policy, purpose=SESSION, at=AT, roots=(processor.amd.anchor(),)).accepted


@pytest.mark.parametrize("processor", [PROCESSOR, TURIN, CLOUD], ids=["Milan", "Turin", "VLEK"])
def test_both_certificate_parsers_agree(processor: Processor) -> None:
    ours = EndorsementCertificate.parse(processor.certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = library.load_der_x509_certificate(processor.certificate)
        except ValueError:
            pytest.skip("this release of cryptography refuses the serial number 0")
        serial = theirs.serial_number
    assert ours.serial == serial == 0
    assert (ours.not_before, ours.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert ours.issuer == theirs.issuer.public_bytes()
    assert (ours.tbs, ours.signature) == (theirs.tbs_certificate_bytes, theirs.signature)
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    assert ours.spki == theirs.public_key().public_bytes(encoding, form)
    (name,) = theirs.issuer.get_attributes_for_oid(library.NameOID.COMMON_NAME)
    assert ours.issuer_name == name.value
    values = {one.oid.dotted_string: one.value.public_bytes() for one in theirs.extensions}
    assert values[LEVELS[0]["microcode"]][-1] == ours.amd.tcb.microcode
    assert values.get(HWID) == ours.amd.hwid


@pytest.mark.parametrize("processor", [PROCESSOR, TURIN, CLOUD], ids=["Milan", "Turin", "VLEK"])
def test_verdict_does_not_depend_on_the_librarys_certificate_parser(processor: Processor, strict_library: None) -> None:
    with pytest.raises(ValueError, match=REFUSED):
        library.load_der_x509_certificate(processor.certificate)
    assert judged(processor)


@pytest.mark.parametrize("processor", [PROCESSOR, TURIN, CLOUD], ids=["Milan", "Turin", "VLEK"])
def test_parsing_raises_no_library_warning(processor: Processor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert judged(processor)


def test_tcb_info_members_match_the_service() -> None:
    chip = EndorsementCertificate.parse(certified(product_name="Milan-B1"))
    assert (chip.kind, chip.amd.product_line, chip.amd.struct_version) == (SigningKey.VCEK, ProductLine.MILAN, 0)
    assert (chip.amd.tcb, chip.amd.hwid, chip.amd.csp_id) == (PROCESSOR.tcb, PROCESSOR.chip_id, None)
    for name, line in (
        ("Siena", "Genoa"),
        ("Siena-B1", "Genoa"),
        ("Bergamo", None),
        ("siena", None),
        ("Milan", "Milan"),
    ):
        assert EndorsementCertificate.parse(certified(product_name=name)).amd.product_line == line
    turin = EndorsementCertificate.parse(TURIN.certificate)
    assert (turin.amd.tcb.fmc, turin.amd.hwid, turin.amd.struct_version) == (1, TURIN.chip_id, 1)
    cloud = EndorsementCertificate.parse(CLOUD.certificate)
    assert (cloud.kind, cloud.amd.hwid, cloud.amd.csp_id) == (SigningKey.VLEK, None, "CN=cloud.example")


def test_level_above_127_is_parsed() -> None:
    high = dataclasses.replace(PROCESSOR.tcb, microcode=255)
    data = PROCESSOR.amd.certify(PROCESSOR.key.public_key(), high, hwid=PROCESSOR.chip_id)
    assert EndorsementCertificate.parse(data).amd.tcb == high


def test_chip_id_may_be_wrapped_in_an_octet_string() -> None:
    wrapped = certified(hwid=b"\x04\x40" + PROCESSOR.chip_id)
    assert EndorsementCertificate.parse(wrapped).amd.hwid == PROCESSOR.chip_id


@pytest.mark.parametrize(
    ("contents", "match"),
    [
        ({"struct_version": None}, "is absent"),
        ({"struct_version": b"\x02\x01\x02"}, "only 0 and 1"),
        ({"struct_version": b"\x02\x01\x01"}, "is absent"),  # a Turin's, which has an FMC
        ({"product_name": None}, "is absent"),
        ({"product_name": b"\x0c\x05Milan"}, "tag 0x0c"),
        ({"product_name": b"\x16\x05Mil\x00n"}, "printable"),
        ({"microcode": None}, "is absent"),
        ({"microcode": b"\x02\x02\x01\x00"}, "at most 255"),
        ({"microcode": b"\x02\x01\xff"}, "negative"),
        ({"microcode": b"\x02\x02\x00\x01"}, "redundant leading zeros"),
        ({"microcode": b"\x02\x01\x01\x00"}, "follow the structure"),
        ({"reserved": b"\x02\x01\x01"}, "reserved"),
        ({"reserved": None}, "is absent"),
        ({"hwid": None}, "is absent"),
        ({"hwid": bytes(8)}, "tag"),
        ({"hwid": b"\x04\x08" + bytes(8)}, "must have 64"),
        ({"csp_id": b"\x16\x01x"}, "unknown"),
        ({"unknown": b"\x05\x00"}, "unknown"),
    ],
)
def test_unknown_extensions_are_malformed(contents: dict[str, bytes | None], match: str) -> None:
    with pytest.raises(MalformedEvidence, match=match):
        EndorsementCertificate.parse(changed(**contents))


def test_vlek_has_no_chip() -> None:
    with pytest.raises(MalformedEvidence, match="unknown"):
        EndorsementCertificate.parse(changed(CLOUD, hwid=bytes(64)))


def test_unknown_product_has_no_line() -> None:
    assert EndorsementCertificate.parse(certified(product_name="Venice")).amd.product_line is None
    # Turin's name in the layout of earlier lines.
    assert EndorsementCertificate.parse(certified(product_name="Turin-B0")).amd.product_line is None


def test_signing_key_must_be_on_p384() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(MalformedEvidence, match="P-384"):
        EndorsementCertificate.parse(PROCESSOR.amd.certify(key, PROCESSOR.tcb, hwid=PROCESSOR.chip_id))


def test_only_vcek_and_vlek_are_parsed() -> None:
    _, signer = PROCESSOR.amd.signers[SigningKey.VCEK]
    assert [is_endorsement(data) for data in (signer, PROCESSOR.amd.root)] == [False, False]
    with pytest.raises(MalformedEvidence, match="must be SEV-VCEK or SEV-VLEK"):
        EndorsementCertificate.parse(signer)


def test_validity_of_the_path_includes_both_ends() -> None:
    data = certified(not_before=AT, not_after=AT + timedelta(days=1))
    parsed = EndorsementCertificate.parse(data)
    one = timedelta(seconds=1)
    ends = (AT - one, AT, AT + timedelta(days=1), AT + timedelta(days=1) + one)
    assert [parsed.valid_at(time) for time in ends] == [False, True, True, False]


def test_tcb_versions_of_different_layouts_are_unequal() -> None:
    tcb = TcbVersion(boot_loader=4, tee=0, snp=24, microcode=219)
    assert tcb != dataclasses.replace(tcb, fmc=0)
