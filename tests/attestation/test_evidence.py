"""Evidence has a binary and a JSON form of the same value, both parsed strictly."""

import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import MAX_SIZE, Evidence
from cloister.attestation.testkit import LocalMachine
from cloister.errors import CloisterError
from cloister.protocol import transcript
from cloister.protocol.canonical import FormatError
from cloister.v1 import evidence_pb2

MACHINE = LocalMachine.create(datetime(2026, 3, 1, tzinfo=UTC), manifest_digest=b"m" * 32)
SESSION = MACHINE.session(nonce=b"n" * 32, tls_key_digest=b"t" * 32, hpke_key_digest=b"h" * 32)
RECEIPT = MACHINE.receipt(payload_digest=b"p" * 32, log_head=b"l" * 32)
FULL = dataclasses.replace(
    SESSION,
    snp_report=b"1",
    snp_certificates=b"2",
    tdx_quote=b"3",
    ccel=b"4",
    hcl_report=b"5",
    launch_endorsement=b"6",
    collateral=(CollateralItem("certificate", b"7"),),
)
BARE = dataclasses.replace(SESSION, tpm_quote=None, ak_certificates=(), boot_event_log=None, runtime_log=())
ALL = pytest.mark.parametrize("evidence", [SESSION, RECEIPT, FULL, BARE], ids=["session", "receipt", "full", "bare"])


@ALL
def test_message_and_json_carry_the_same(evidence: Evidence) -> None:
    assert Evidence.parse(evidence.encode()) == evidence
    assert Evidence.parse_json(evidence.encode_json()) == evidence


def test_report_data_is_that_of_the_transcript() -> None:
    boot = hashlib.sha256(MACHINE.boot_configuration.encode()).digest()
    assert SESSION.report_data() == transcript.session_report_data(
        nonce=b"n" * 32,
        tls_key_digest=b"t" * 32,
        hpke_key_digest=b"h" * 32,
        event_log_key=MACHINE.event_log_key,
        manifest_digest=b"m" * 32,
        boot_configuration_digest=boot,
    )
    assert RECEIPT.report_data() == transcript.receipt_report_data(
        payload_digest=b"p" * 32,
        event_log_key=MACHINE.event_log_key,
        manifest_digest=b"m" * 32,
        boot_configuration_digest=boot,
        log_head=b"l" * 32,
    )


def test_missing_manifest_is_zeros_in_the_report_data() -> None:
    binding = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
    assert dataclasses.replace(SESSION, binding=binding).report_data() == transcript.session_report_data(
        nonce=b"n" * 32,
        tls_key_digest=b"t" * 32,
        hpke_key_digest=b"h" * 32,
        event_log_key=MACHINE.event_log_key,
        manifest_digest=bytes(32),
        boot_configuration_digest=SESSION.boot_configuration_digest(),
    )


@ALL
def test_truncated_evidence_is_malformed(evidence: Evidence) -> None:
    data = evidence.encode()
    shorter: list[Evidence] = []  # what a cut between two optional parts leaves is whole evidence with fewer parts
    for size in range(len(data)):
        try:
            shorter.append(Evidence.parse(data[:size]))
        except MalformedEvidence:
            pass
    assert all(one != evidence for one in shorter)


def _message(**changes: Any) -> bytes:
    message = evidence_pb2.Evidence.FromString(SESSION.encode())
    for path, value in changes.items():
        *parents, name = path.split("__")
        target: Any = message
        for parent in parents:
            target = getattr(target, parent)
        setattr(target, name, value)
    return message.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"platform": "sgx"},
        {"platform": ""},
        {"event_log_key": b""},
        {"event_log_key": bytes(1025)},
        {"boot_configuration": b""},
        {"boot_configuration": bytes(64 * 1024 + 1)},
        {"boot_event_log": bytes(512 * 1024 + 1)},
        {"snp_report": bytes(4097)},
        {"session__nonce": bytes(31)},
        {"session__tls_key_digest": bytes(33)},
        {"session__hpke_key_digest": b""},
        {"session__manifest_digest": bytes(32)},
        {"tpm_quote__attest": b""},
        {"tpm_quote__signature": bytes(2049)},
    ],
    ids=str,
)
def test_oversized_parts_are_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvidence):
        Evidence.parse(_message(**changes))


def test_collateral_of_an_unknown_kind_is_malformed() -> None:
    message = evidence_pb2.Evidence.FromString(FULL.encode())
    message.collateral[0].kind = "note"
    with pytest.raises(MalformedEvidence, match=r"collateral\.kind"):
        Evidence.parse(message.SerializeToString(deterministic=True))
    value = json.loads(FULL.encode_json())
    value["collateral"][0]["kind"] = "note"
    with pytest.raises(FormatError, match=r"collateral\.0\.kind"):
        Evidence.parse_json(json.dumps(value).encode())


def test_too_many_parts_are_malformed() -> None:
    for name, value in (("ak_certificates", b"x"), ("runtime_log", None), ("collateral", None)):
        message = evidence_pb2.Evidence.FromString(SESSION.encode())
        for _ in range(65):
            if value is None:
                entry = getattr(message, name).add()
                entry.kind = "agent"
                setattr(entry, "digest" if name == "runtime_log" else "content", bytes(32))
            else:
                getattr(message, name).append(value)
        with pytest.raises(MalformedEvidence, match=name):
            Evidence.parse(message.SerializeToString(deterministic=True))


def test_quote_must_have_sixteen_registers() -> None:
    message = evidence_pb2.Evidence.FromString(SESSION.encode())
    message.tpm_quote.pcrs.append(bytes(32))
    with pytest.raises(MalformedEvidence):
        Evidence.parse(message.SerializeToString(deterministic=True))


@pytest.mark.parametrize(
    "tail",
    [
        b"\xfa\x07\x01x",  # an unknown field
        b"\xa2\x01\x00",  # snp_report, empty instead of absent
        b"\x12\x05local",  # platform a second time
        b"\x52\x00",  # an empty tpm_quote, to be merged into the first
    ],
    ids=["unknown", "empty", "repeated", "merged"],
)
def test_evidence_has_one_encoding(tail: bytes) -> None:
    with pytest.raises(MalformedEvidence, match="canonical"):
        Evidence.parse(SESSION.encode() + tail)


def test_evidence_without_a_binding_is_malformed() -> None:
    message = evidence_pb2.Evidence.FromString(SESSION.encode())
    message.ClearField("session")
    with pytest.raises(MalformedEvidence, match="binding"):
        Evidence.parse(message.SerializeToString(deterministic=True))


def test_oversized_evidence_is_malformed_before_parsing() -> None:
    with pytest.raises(MalformedEvidence, match="bytes"):
        Evidence.parse(bytes(MAX_SIZE + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"version": 2},
        {"platform": "sgx"},
        {"binding": {}},
        {"binding": {"session": {"nonce": "00" * 32}}},
        {"event_log_key": ""},
        {"event_log_key": "MA=="},
        {"boot_event_log": ""},
        {"ak_certificates": []},
        {"runtime_log": [{"kind": "agent", "digest": "AB" * 32}]},
    ],
    ids=str,
)
def test_file_against_the_schema_is_malformed(change: dict[str, Any]) -> None:
    value = json.loads(SESSION.encode_json()) | change
    with pytest.raises((FormatError, MalformedEvidence)):
        Evidence.parse_json(json.dumps(value).encode())


@given(st.binary(max_size=200), st.integers(0, 1 << 20))
def test_arbitrary_bytes_are_evidence_or_malformed(data: bytes, place: int) -> None:
    whole = SESSION.encode()
    start = place % len(whole)
    for candidate in (data, whole[:start] + data + whole[start + len(data) :]):
        try:
            Evidence.parse(candidate)
        except MalformedEvidence:
            pass


@given(st.binary(max_size=200), st.integers(0, 1 << 20))
def test_arbitrary_file_is_evidence_or_malformed(data: bytes, place: int) -> None:
    whole = SESSION.encode_json()
    start = place % len(whole)
    for candidate in (data, whole[:start] + data + whole[start + len(data) :]):
        try:
            Evidence.parse_json(candidate)
        except CloisterError:
            pass
