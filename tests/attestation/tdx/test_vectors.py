"""Quotes and collateral of real machines get the recorded verdicts, as of a time when they were valid."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO, InMemory
from cloister.attestation.result.verdict import Check, CheckOutcome, Recorder
from cloister.attestation.tdx.checks import TDX_NAMES
from cloister.attestation.tdx.collateral import IntelCollateral
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tdx.tcb_info import TcbInfo
from cloister.attestation.tdx.verify import check_quote
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.x509 import pem
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList
from cloister.attestation.x509.roots import INTEL, VENDORS
from tests.shared_files import VECTORS

TDX = VECTORS / "tdx"
IN_2025 = datetime(2025, 6, 20, tzinfo=UTC)
IN_2026 = datetime(2026, 3, 20, tzinfo=UTC)
LATER = datetime(2026, 11, 20, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not TDX.is_dir(), reason="recorded evidence (../shared/vectors) is not here")

Collateral = Mapping[str, tuple[bytes, ...]]


def chain(text: bytes) -> tuple[bytes, ...]:
    return pem.read(text.removesuffix(b"\0"), "chain", limit=1 << 14, most=4)


def of_2026() -> Collateral:
    def read(name: str) -> bytes:
        return (TDX / f"collateral-2026-03-{name}").read_bytes()

    return {
        CERTIFICATE: chain(read("tcb_signing_chain.pem")),
        CRL: (read("pck_crl_platform.der"), read("root_ca_crl.der")),
        TCB_INFO: (read("tcb_info_50806f000000.json"), read("tcb_info_90c06f000000.json")),
        QE_IDENTITY: (read("td_qe_identity.json"),),
    }


def of_2025() -> Collateral:
    """The tool that recorded them stores signed bodies and signatures separately."""
    kept = json.loads((TDX / "dcap-tdx_quote_collateral.json").read_text())
    info = f'{{"tcbInfo":{kept["tcb_info"]},"signature":"{kept["tcb_info_signature"]}"}}'
    identity = f'{{"enclaveIdentity":{kept["qe_identity"]},"signature":"{kept["qe_identity_signature"]}"}}'
    return {
        CERTIFICATE: chain(kept["tcb_info_issuer_chain"].encode()),
        CRL: (bytes.fromhex(kept["pck_crl"]), bytes.fromhex(kept["root_ca_crl"])),
        TCB_INFO: (info.encode(),),
        QE_IDENTITY: (identity.encode(),),
    }


def judged(name: str, collateral: Collateral, at: datetime, section: TdxPolicy | None = None) -> tuple[Check, ...]:
    checks = Recorder(TDX_NAMES, CHECKS)
    quote = TdxQuote.parse((VECTORS / name).read_bytes())
    gathered = IntelCollateral.gather(quote.certificates, UsableCollateral((), InMemory(collateral)))
    check_quote(checks, quote, gathered, section or TdxPolicy(), report_data=None, at=at)
    return checks.finish()


def failures(checks: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.found for check in checks if check.outcome is CheckOutcome.FAILED}


@pytest.mark.parametrize(
    ("name", "collateral", "at"),
    [("tdx/dcap-tdx_quote", of_2025, IN_2025), ("tdx/quote_v5_sample.dat", of_2026, IN_2026)],
)
def test_up_to_date_platform_is_accepted(name: str, collateral: Callable[[], Collateral], at: datetime) -> None:
    checks = judged(name, collateral(), at)
    assert failures(checks) == {}
    assert {check.name: check.found for check in checks}["tdx-tcb-status"] == "UpToDate"


def test_expired_collateral_is_rejected() -> None:
    found = failures(judged("tdx/dcap-tdx_quote", of_2025(), LATER))
    assert list(found) == [
        "tdx-pck-revocation",
        "tdx-ca-revocation",
        "tdx-tcb-info-validity",
        "tdx-qe-identity-validity",
    ]


def test_collateral_is_rejected_before_its_issue() -> None:
    # The PCK certificate of that platform was made in January 2026, the root's list in February.
    found = failures(judged("tdx/quote_v5_sample.dat", of_2026(), IN_2025))
    assert list(found) == [
        "tdx-pck-validity",
        "tdx-pck-revocation",
        "tdx-ca-revocation",
        "tdx-tcb-info-validity",
        "tdx-qe-identity-validity",
    ]


def test_debug_td_is_rejected_for_debug_and_outdated_tcb() -> None:
    found = failures(judged("tdx/tdx_quote_4.dat", of_2026(), IN_2026))
    assert list(found) == ["tdx-tcb-status", "tdx-advisories", "tdx-debug"]
    assert found["tdx-debug"] == "0100001000000000"
    assert found["tdx-tcb-status"] == "OutOfDate, UpToDate until 2023-02-15T00:00:00.000Z"


def test_platform_below_every_level_is_rejected() -> None:
    found = failures(judged("tdx/tdx_quote_5.dat", of_2026(), IN_2026))
    assert found.keys() == {"tdx-tcb-status", "tdx-service-td"}
    assert found["tdx-tcb-status"] == "no TCB level is as low as the platform's SGX components and PCESVN"


@pytest.mark.parametrize("name", ["azure-tdx/td-quote.bin", "eventlog/cos-113-tdx-quote.dat"])
def test_real_cloud_quotes_lack_only_tcb_info(name: str) -> None:
    section = TdxPolicy().for_paravisor() if "azure" in name else TdxPolicy()
    assert failures(judged(name, of_2026(), IN_2026, section)) == {"tdx-tcb-info": "none"}


def test_azure_td_section_has_no_attributes_and_no_rtmrs() -> None:
    report = TdxQuote.parse((VECTORS / "azure-tdx" / "td-quote.bin").read_bytes()).report
    assert report.td_attributes == bytes(8)
    assert set(report.rtmrs) == {bytes(48)}
    assert failures(judged("azure-tdx/td-quote.bin", of_2026(), IN_2026)).keys() == {"tdx-tcb-info", "tdx-attributes"}


@pytest.mark.parametrize(
    ("name", "rtmrs"),
    [
        ("CCEL_data_gcp", ("33009807", "204d49f7", "00000000", "00000000")),
        ("CCEL_data_ovmf", ("8566f998", "775b9f6b", "94eaf7a7", "00000000")),
        ("ccel_data.dat", ("3fa2f61f", "f62dbc07", "4969684d", "00000000")),
    ],
)
def test_logs_of_real_tds_replay_to_the_recorded_registers(name: str, rtmrs: tuple[str, ...]) -> None:
    log = Ccel.parse((VECTORS / "eventlog" / name).read_bytes())
    assert tuple(value.hex()[:8] for value in log.replay()) == rtmrs


def test_log_of_a_real_td_replays_to_its_quote() -> None:
    log = Ccel.parse((VECTORS / "eventlog" / "ccel_data.dat").read_bytes())
    quote = TdxQuote.parse((VECTORS / "eventlog" / "cos-113-tdx-quote.dat").read_bytes())
    assert log.replay() == quote.report.rtmrs


def test_pinned_intel_root_is_the_recorded_one() -> None:
    (der,) = chain((TDX / "trusted_root.pem").read_bytes())
    (anchor,) = (anchor for anchor in VENDORS if anchor.identity_root == INTEL)
    assert Certificate.parse(der).fingerprint() == anchor.spki_sha256


def test_older_crls_and_statements_are_parsed() -> None:
    (root,) = (Certificate.parse(der) for der in chain((TDX / "trusted_root.pem").read_bytes()))
    old_root = RevocationList.parse((TDX / "rootcrl.der").read_bytes())
    assert old_root.signed_by(root) and not old_root.serials
    authority = Certificate.parse(TdxQuote.parse((TDX / "quote_v5_sample.dat").read_bytes()).pck_chain[1])
    old = RevocationList.parse((TDX / "pckcrl").read_bytes())
    assert old.signed_by(authority) and not old.signed_by(root)
    assert len(old.serials) == 44
    assert TcbInfo.parse((TDX / "sample_tcbinfo_response_v5").read_bytes()).fmspc.hex() == "90c06f000000"


def test_only_statement_is_rejected_if_expired() -> None:
    collateral = {**of_2026(), TCB_INFO: ((TDX / "sample_tcbinfo_response_v5").read_bytes(),)}
    assert failures(judged("tdx/quote_v5_sample.dat", collateral, IN_2026)).keys() == {"tdx-tcb-info-validity"}


def test_current_statement_is_selected() -> None:
    current = of_2026()[TCB_INFO]
    older = (TDX / "sample_tcbinfo_response_v5").read_bytes()
    for order in ((older, *current), (*current, older)):
        assert failures(judged("tdx/quote_v5_sample.dat", {**of_2026(), TCB_INFO: order}, IN_2026)) == {}
