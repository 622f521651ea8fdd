"""Azure's HCL report: real reports are parsed, anything else is malformed."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport, RuntimeClaims
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.testkit import RsaTpm
from cloister.attestation.testkit.microsoft import VM_ID, Paravisor, encode_hcl_report
from tests.shared_files import VECTORS

# Recordings of real machines, if they are next to the checkout.
TPM = RsaTpm.create()
CLAIMS = Paravisor().claims(TPM, b"u" * 64)
REPORT = encode_hcl_report(b"\x07" * hcl.REPORT_SIZE, CLAIMS, hcl.TYPE_SNP)


def recorded(name: str) -> bytes:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "kind", "machine"),
    [
        ("azure-snp/hcl-report.bin", hcl.TYPE_SNP, "911B0EF8-9DBA-48B0-B275-4E4DF2D39252"),
        ("azure-tdx/hcl-report.bin", hcl.TYPE_TDX, "6332533D-5649-4D02-8AA7-8F64B7C3EE21"),
    ],
)
def test_reports_of_real_machines_are_parsed(name: str, kind: int, machine: str) -> None:
    data = recorded(name)
    report = HclReport.parse(data)
    assert (report.report_type, report.claims.vm_unique_id) == (kind, machine)
    assert report.claims.user_data == bytes(64)
    assert report.claims.configuration["secure-boot"] is True
    # SNP report: REPORT_DATA at 80; TDREPORT: REPORTDATA at 128.
    place = 80 if kind == hcl.TYPE_SNP else 128
    assert report.hardware_report[place : place + 64] == report.report_data()


def test_real_azure_tdx_quote_binds_its_claims() -> None:
    report = HclReport.parse(recorded("azure-tdx/hcl-report.bin"))
    quote = recorded("azure-tdx/td-quote.bin")
    assert quote[48 + 520 : 48 + 584] == report.report_data()


def test_recorded_document_has_the_same_report_without_padding() -> None:
    document = json.loads(recorded("azure-snp/evidence-v1.json"))
    text = document["hcl_report"]
    report = HclReport.parse(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert report.report_type == hcl.TYPE_SNP


def test_evidence_round_trips() -> None:
    report = HclReport.parse(REPORT)
    assert report.hardware_report == b"\x07" * hcl.REPORT_SIZE
    assert report.claims_bytes == CLAIMS
    assert report.claims == RuntimeClaims(
        ak_modulus=TPM.public().modulus,
        ek_modulus=TPM.public().modulus,
        vm_unique_id=VM_ID,
        configuration={"console-enabled": True, "secure-boot": True, "tpm-enabled": True},
        user_data=b"u" * 64,
    )
    assert report.report_data() == hashlib.sha256(CLAIMS).digest() + bytes(32)


def test_truncated_reports_are_malformed() -> None:
    whole = 1236 + len(CLAIMS)
    for size in range(whole):
        with pytest.raises(MalformedEvidence):
            HclReport.parse(REPORT[:size])
    for size in range(whole, len(REPORT)):
        assert HclReport.parse(REPORT[:size]) == HclReport.parse(REPORT)


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (0, "signature"),
        (4, "version"),
        (8, "runtime.data_size"),
        (12, "request_type"),
        (20, "status and reserved"),
        (1216, "runtime.data_size"),
        (1220, "runtime.version"),
        (1224, "runtime.report_type"),
        (1228, "runtime.hash_type"),
        (1236 + len(CLAIMS), "padding"),
    ],
)
def test_unexpected_header_is_malformed(place: int, field: str) -> None:
    changed = bytearray(REPORT)
    changed[place] ^= 0x41
    with pytest.raises(MalformedEvidence) as caught:
        HclReport.parse(bytes(changed))
    assert caught.value.field == f"HCL report.{field}"


def test_bytes_after_a_tdreport_are_malformed() -> None:
    with pytest.raises(MalformedEvidence) as caught:
        HclReport.parse(encode_hcl_report(b"\x07" * hcl.REPORT_SIZE, CLAIMS, hcl.TYPE_TDX))
    assert caught.value.field == "HCL report.hardware_report"


def test_oversized_report_is_malformed() -> None:
    with pytest.raises(MalformedEvidence):
        HclReport.parse(REPORT.ljust(hcl.MAX_SIZE + 1, b"\0"))


def claims(**changes: Any) -> bytes:
    value = json.loads(CLAIMS) | changes
    return json.dumps({name: member for name, member in value.items() if member is not None}).encode()


def key(**changes: Any) -> dict[str, Any]:
    return json.loads(CLAIMS)["keys"][0] | changes


EK = json.loads(CLAIMS)["keys"][1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": [',
        b"\xff" + CLAIMS,
        CLAIMS.replace(b'"user-data"', b'"keys":[],"user-data"'),
        claims(keys=None),
        claims(keys={}),
        claims(keys=[EK]),
        claims(keys=[key()]),
        claims(keys=[key(), EK, key()]),
        claims(keys=[key(kid=str(number)) for number in range(9)]),
        claims(keys=[key(kty="EC"), EK]),
        claims(keys=[key(e="Aw"), EK]),
        claims(keys=[key(n="AQAB"), EK]),
        claims(keys=[key(n=key()["n"] + "="), EK]),
        claims(keys=[key(n=7), EK]),
        claims(keys=["HCLAkPub", EK]),
        claims(**{"vm-configuration": None}),
        claims(**{"vm-configuration": {}}),
        claims(**{"vm-configuration": {"vmUniqueId": 7}}),
        claims(**{"vm-configuration": {"vmUniqueId": "\x1b[2J"}}),
        claims(**{"user-data": None}),
        claims(**{"user-data": 7}),
        claims(**{"user-data": "0"}),
        claims(**{"user-data": "zz"}),
        claims(**{"user-data": "00" * 65}),
        claims(note=1.5),
    ],
)
def test_invalid_claims_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedEvidence) as caught:
        HclReport.parse(encode_hcl_report(b"", data, hcl.TYPE_SNP))
    assert caught.value.field.startswith("HCL report.runtime.claims")


def test_unknown_settings_are_ignored() -> None:
    configuration = {"vmUniqueId": VM_ID, "secure-boot": False, "\x1b[2J": True, "": True, "x" * 65: True, "n": 7}
    assert RuntimeClaims.parse(claims(**{"vm-configuration": configuration})).configuration == {"secure-boot": False}


def test_unknown_claim_members_are_ignored() -> None:
    more = claims(more={"a": [1]}, keys=[key(), EK, key(kid="TpmEphemeralEncryptionKey", n="AQAB")])
    assert RuntimeClaims.parse(more) == RuntimeClaims.parse(CLAIMS)


@given(st.binary(max_size=400))
def test_arbitrary_claims_parse_or_are_malformed(data: bytes) -> None:
    try:
        HclReport.parse(encode_hcl_report(b"", data, hcl.TYPE_SNP))
    except MalformedEvidence:
        pass


@given(st.integers(0, len(REPORT) - 1), st.integers(0, 255))
def test_any_changed_report_parses_or_is_malformed(place: int, byte: int) -> None:
    changed = bytearray(REPORT)
    changed[place] = byte
    try:
        HclReport.parse(bytes(changed))
    except MalformedEvidence:
        pass
