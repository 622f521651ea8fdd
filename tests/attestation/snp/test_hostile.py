"""Hostile bytes: changed, truncated or arbitrary input is rejected or malformed, and never raises anything else."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloister.attestation.checks import CHECKS
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.result.verdict import CheckOutcome, Recorder
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.snp.checks import SNP_NAMES
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.report import SIZE, SnpReport
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.snp.verify import check_report
from cloister.attestation.testkit import Processor, SnpMachine
from cloister.attestation.x509.der import DerReader
from tests.attestation.flips import flipped, places

# The library's warnings about names with a flipped bit.
pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length")

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROCESSOR = Processor.create(AT)
MACHINE = SnpMachine.create(PROCESSOR)
REPORT = PROCESSOR.report(report_data=b"r" * 64)
SIGNER, ROOT = PROCESSOR.amd.signers[PROCESSOR.kind][1], PROCESSOR.amd.root
LIST = PROCESSOR.amd.crl(revoked=[7])


def accepted(
    report: bytes = REPORT, leaf: bytes = PROCESSOR.certificate, signer: bytes = SIGNER, crl: bytes = LIST
) -> bool:
    """Whether every check of the report passes. Raises MalformedEvidence, as the verifier does."""
    checks = Recorder(SNP_NAMES, CHECKS)
    check_report(
        checks,
        SnpReport.parse(report),
        AmdCollateral.parse((leaf, signer, ROOT), (crl,)),
        MACHINE.section(),
        report_data=b"r" * 64,
        at=AT,
        anchors=(PROCESSOR.amd.anchor(),),
    )
    return all(check.outcome is not CheckOutcome.FAILED for check in checks.finish())


def refused(judge: Callable[[bytes], bool], data: bytes) -> bool:
    try:
        return not judge(data)
    except MalformedEvidence:
        return True


@pytest.mark.parametrize(
    ("judge", "data"),
    [
        (lambda data: accepted(report=data), REPORT),
        (lambda data: accepted(leaf=data), PROCESSOR.certificate),
        (lambda data: accepted(signer=data), SIGNER),
        (lambda data: accepted(crl=data), LIST),
    ],
    ids=["report", "certificate of the signing key", "signer", "revocation list"],
)
def test_flipped_bit_is_rejected(judge: Callable[[bytes], bool], data: bytes) -> None:
    assert judge(data)
    assert [place for place in places(0, len(data)) if not refused(judge, flipped(data, place))] == []


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (SnpReport.parse, REPORT),
        (CertificateTable.parse, PROCESSOR.table()),
        (EndorsementCertificate.parse, PROCESSOR.certificate),
    ],
    ids=["report", "table", "certificate"],
)
def test_truncated_input_is_malformed(parse: Callable[[bytes], object], data: bytes) -> None:
    parse(data)
    for length in range(len(data)):
        with pytest.raises(MalformedEvidence):
            parse(data[:length])


@given(st.binary(min_size=SIZE, max_size=SIZE) | st.binary(max_size=64))
def test_arbitrary_bytes_are_a_report_or_malformed(data: bytes) -> None:
    try:
        assert SnpReport.parse(data).data == data
    except MalformedEvidence:
        pass


@settings(max_examples=300)
@given(st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=16))
def test_changed_report_parses_or_is_malformed(offset: int, patch: bytes) -> None:
    data = (REPORT[:offset] + patch + REPORT[offset + len(patch) :])[:SIZE]
    assert data == REPORT or refused(lambda data: accepted(report=data), data)


@settings(max_examples=300)
@given(st.integers(0, len(PROCESSOR.certificate) - 1), st.binary(min_size=1, max_size=8))
def test_changed_certificate_is_rejected(offset: int, patch: bytes) -> None:
    data = PROCESSOR.certificate[:offset] + patch + PROCESSOR.certificate[offset + len(patch) :]
    assert data == PROCESSOR.certificate or refused(lambda data: accepted(leaf=data), data)


@given(st.binary(max_size=256))
def test_arbitrary_bytes_parse_or_are_malformed(data: bytes) -> None:
    for parse in (EndorsementCertificate.parse, CertificateTable.parse, is_endorsement):
        try:
            parse(data)
        except MalformedEvidence:
            pass


@given(st.binary(max_size=64), st.sampled_from(["unsigned", "oid", "bits", "time"]))
def test_arbitrary_bytes_are_an_element_or_malformed(data: bytes, kind: str) -> None:
    try:
        getattr(DerReader(data, "value"), kind)("field")
    except MalformedEvidence:
        pass


@pytest.mark.parametrize("entries", [17, 100])
def test_certificate_table_entries_are_limited(entries: int) -> None:
    header = b"".join(index.to_bytes(16) + bytes(8) for index in range(1, entries + 1))
    with pytest.raises(MalformedEvidence, match="more than 16"):
        CertificateTable.parse(header + bytes(24))


def test_certificate_table_entries_are_unique_and_inside() -> None:
    guid = bytes(range(16))

    def entry(offset: int, length: int) -> bytes:
        return guid + offset.to_bytes(4, "little") + length.to_bytes(4, "little")

    with pytest.raises(MalformedEvidence, match="twice"):
        CertificateTable.parse(entry(72, 0) * 2 + bytes(24))
    for offset, length in ((0, 4), (47, 1), (48, 2), (49, 1), (0xFFFFFFFF, 0xFFFFFFFF)):
        with pytest.raises(MalformedEvidence, match="outside"):
            CertificateTable.parse(entry(offset, length) + bytes(24) + b"x")
    assert list(CertificateTable.parse(entry(48, 1) + bytes(24) + b"x" + bytes(4096)).entries.values()) == [b"x"]


def test_excess_certificates_are_ignored_cheaply() -> None:
    others = [Processor.create(AT, amd=PROCESSOR.amd).certificate for _ in range(9)]
    checks = Recorder(SNP_NAMES, CHECKS)
    table = CertificateTable.parse(PROCESSOR.table())
    assert table.crls == ()
    check_report(
        checks,
        SnpReport.parse(REPORT),
        AmdCollateral.parse((*others, *table.certificates), (LIST,)),
        MACHINE.section(),
        report_data=None,
        at=AT,
        anchors=(PROCESSOR.amd.anchor(),),
    )
    failed = {check.name for check in checks.finish() if check.outcome is CheckOutcome.FAILED}
    assert "snp-signature" in failed


def test_report_of_another_size_is_malformed() -> None:
    evidence = MACHINE.session(nonce=b"n" * 32, tls_key_digest=b"t" * 32, hpke_key_digest=b"h" * 32)
    assert evidence.snp_report is not None
    longer = dataclasses.replace(evidence, snp_report=evidence.snp_report + b"\0")
    with pytest.raises(MalformedEvidence, match="1185 bytes"):
        SnpReport.parse(longer.snp_report or b"")
