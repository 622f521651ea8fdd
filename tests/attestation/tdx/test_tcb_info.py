"""Intel's signed statements are parsed strictly, and their signed bytes are kept unchanged."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.tdx.tcb_info import QeIdentity, TcbInfo
from cloister.attestation.testkit import Intel

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTEL = Intel.create(AT)

Change = Callable[[dict[str, Any]], object]


def info(change: Change) -> TcbInfo:
    value = INTEL.tcb_info()
    change(value)
    return TcbInfo.parse(INTEL.statement("tcbInfo", value))


def identity(change: Change) -> QeIdentity:
    value = INTEL.qe_identity()
    change(value)
    return QeIdentity.parse(INTEL.statement("enclaveIdentity", value))


def test_signed_bytes_are_kept_unchanged() -> None:
    value = INTEL.tcb_info()
    signature = "ab" * 64
    spaced = json.dumps(value, indent=1)
    for text in (
        f'{{"tcbInfo":{spaced},"signature":"{signature}"}}',
        f' {{ "tcbInfo" :\n{spaced} ,\t"signature" : "{signature}" }}\n',
        f'{{"tcbInfo": {spaced}\n,"signature":"{signature}"}}',
        f'{{"signature":"{signature}","tcbInfo":{spaced}}}',
    ):
        parsed = TcbInfo.parse(text.encode())
        assert (parsed.body, parsed.signature) == (spaced.encode(), bytes.fromhex(signature))


def test_big_endian_numbers_are_reversed() -> None:
    found = identity(lambda value: value.update(miscselect="00000001", miscselectMask="FFFFFFFE"))
    assert (found.misc_select, found.misc_select_mask) == (b"\1\0\0\0", b"\xfe\xff\xff\xff")


@pytest.mark.parametrize("changed", [{"a\u009b2J": 1}, {"id": "a\u009b2J"}])
def test_error_about_a_statement_is_printable(changed: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvidence) as caught:
        info(lambda value: value.update(changed))
    assert caught.value.message.isprintable()


def level(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["tcbLevels"][0]
    return found


def module(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["tdxModuleIdentities"][0]
    return found


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", lambda v: v.update(id="SGX")),
        ("version", lambda v: v.update(version=2)),
        ("version", lambda v: v.update(version=True)),
        ("tcbType", lambda v: v.update(tcbType=1)),
        ("issueDate", lambda v: v.update(issueDate="2026-02-30T00:00:00Z")),
        ("issueDate", lambda v: v.update(issueDate="2026-02-03T00:00:00+00:00")),
        ("nextUpdate", lambda v: v.pop("nextUpdate")),
        ("fmspc", lambda v: v.update(fmspc="00")),
        ("fmspc", lambda v: v.update(fmspc="0000000000 0")),
        ("pceId", lambda v: v.update(pceId=0)),
        ("tcbEvaluationDataNumber", lambda v: v.update(tcbEvaluationDataNumber=-1)),
        ("unheardOf", lambda v: v.update(unheardOf=1)),
        ("tdxModule", lambda v: v.pop("tdxModule")),
        ("tdxModuleIdentities", lambda v: v["tdxModuleIdentities"].append(module(v))),
        ("id", lambda v: module(v).update(id="TDX_00")),
        ("id", lambda v: module(v).update(id="TDX_1")),
        ("tcbStatus", lambda v: module(v)["tcbLevels"][0].update(tcbStatus="SWHardeningNeeded")),
        ("tcbLevels", lambda v: module(v).update(tcbLevels=[])),
        ("unheardOf", lambda v: module(v).update(unheardOf=1)),
        ("tcbLevels", lambda v: v.update(tcbLevels=[])),
        ("tcbLevels", lambda v: v.update(tcbLevels=[level(v)] * 65)),
        ("tcbLevels", lambda v: v.update(tcbLevels={})),
        ("tcbStatus", lambda v: level(v).update(tcbStatus="TDRelaunchAdvised")),
        ("tcbStatus", lambda v: level(v).update(tcbStatus="uptodate")),
        ("tcbDate", lambda v: level(v).update(tcbDate="yesterday")),
        ("advisoryIDs", lambda v: level(v).update(advisoryIDs=[1])),
        ("advisoryIDs", lambda v: level(v).update(advisoryIDs=["x" * 100])),
        ("unheardOf", lambda v: level(v).update(unheardOf=1)),
        ("unheardOf", lambda v: level(v)["tcb"].update(unheardOf=1)),
        ("pcesvn", lambda v: level(v)["tcb"].update(pcesvn=65536)),
        ("sgxtcbcomponents", lambda v: level(v)["tcb"]["sgxtcbcomponents"].pop()),
        ("tdxtcbcomponents", lambda v: level(v)["tcb"]["tdxtcbcomponents"].append({"svn": 0})),
        ("svn", lambda v: level(v)["tcb"]["tdxtcbcomponents"][0].update(svn=256)),
        ("svn", lambda v: level(v)["tcb"]["tdxtcbcomponents"][0].update(svn="1")),
        ("category", lambda v: level(v)["tcb"]["tdxtcbcomponents"][0].update(category=1)),
        ("unheardOf", lambda v: level(v)["tcb"]["tdxtcbcomponents"][0].update(unheardOf=1)),
    ],
)
def test_impossible_tcb_info_is_malformed(field: str, change: Change) -> None:
    with pytest.raises(MalformedEvidence) as caught:
        info(change)
    assert caught.value.field.endswith(field)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("id", lambda v: v.update(id="QE")),
        ("version", lambda v: v.update(version=1)),
        ("mrsigner", lambda v: v.update(mrsigner="00" * 31)),
        ("isvprodid", lambda v: v.update(isvprodid=65536)),
        ("attributesMask", lambda v: v.pop("attributesMask")),
        ("tcbLevels", lambda v: v.update(tcbLevels=[])),
        ("tcbStatus", lambda v: level(v).update(tcbStatus="SWHardeningNeeded")),
        ("isvsvn", lambda v: level(v)["tcb"].update(isvsvn=1.0)),
        ("unheardOf", lambda v: v.update(unheardOf=1)),
    ],
)
def test_impossible_qe_identity_is_malformed(field: str, change: Change) -> None:
    with pytest.raises(MalformedEvidence) as caught:
        identity(change)
    assert caught.value.field.endswith((field, "enclaveIdentity"))


@pytest.mark.parametrize(
    "text",
    [
        '{"tcbInfo":%s}',
        '{"tcbInfo":%s,"signature":"abc"}',
        '{"tcbInfo":%s,"signature":"SIGNATURE","more":1}',
        '{"tcbInfo":%s,"tcbInfo":%s,"signature":"SIGNATURE"}',
        '{"enclaveIdentity":%s,"signature":"SIGNATURE"}',
        '[%s,"SIGNATURE"]',
    ],
)
def test_signed_document_has_exactly_one_form(text: str) -> None:
    document = text.replace("%s", json.dumps(INTEL.tcb_info())).replace("SIGNATURE", "ab" * 64)
    with pytest.raises(MalformedEvidence):
        TcbInfo.parse(document.encode())


def test_signature_has_one_encoding() -> None:
    document = INTEL.statement("tcbInfo", INTEL.tcb_info())
    head, tail = document.rsplit(b'"signature":"', 1)
    with pytest.raises(MalformedEvidence, match="lower case"):
        TcbInfo.parse(head + b'"signature":"' + tail.upper())
