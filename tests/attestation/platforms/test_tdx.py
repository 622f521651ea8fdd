"""Every check of the platform tdx: evidence with one fault fails only the check of that fault; what a verdict says."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from cloister.attestation.checks import CHECKS_OF
from cloister.attestation.collateral_source import InMemory
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Evidence
from cloister.attestation.raw.verifier import RawTdx, verify_raw
from cloister.attestation.testkit import Intel, Td, evidence_policy
from cloister.attestation.testkit.intel import ROOT_NAME
from cloister.attestation.verifier import verify
from cloister.protocol import canonical, schema
from tests.attestation.platforms.tdx_cases import (
    AT,
    BINDING,
    CASES,
    HOUR,
    MANIFEST,
    SESSION,
    Case,
    case,
    good,
    names,
    receipt,
)
from tests.attestation.wording import require_words


@pytest.fixture(scope="module")
def td() -> Td:
    return Td.create(AT, manifest_digest=MANIFEST)


@pytest.mark.parametrize("name", CHECKS_OF["tdx"])
def test_one_fault_fails_only_its_check(td: Td, name: str) -> None:
    verdict = CASES[name](td).verdict()
    assert names(verdict) == [name]
    require_words(verdict)
    assert not verdict.accepted
    assert not verdict.confidential


@pytest.mark.parametrize("make", [good, receipt])
def test_valid_evidence_is_accepted_and_marked_simulated(td: Td, make: Callable[[Td], Case]) -> None:
    one = make(td)
    verdict = one.but(evidence=Evidence.parse(one.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert (verdict.platform, verdict.identity_root, verdict.confidential) == ("tdx", "simulated", True)
    assert verdict.claims.image == ("base", td.image().manifest_digest)
    assert verdict.claims.identity["tcb_status"] == "UpToDate"
    assert verdict.claims.identity["ppid"] == td.intel.platform.ppid.hex()
    schema.validate("verdict", canonical.parse(verdict.encode(), what="verdict", limit=10**6), what="verdict")


def test_verdict_names_identity_root_and_time(td: Td) -> None:
    info = td.intel.tcb_info()
    info["tcbLevels"][0] |= {"tcbStatus": "SWHardeningNeeded", "advisoryIDs": ["INTEL-SA-00615", "INTEL-SA-00001"]}
    info["issueDate"] = "2026-02-20T00:00:00Z"
    lists = (td.intel.crl(since=AT - timedelta(days=2)), td.intel.crl(of_root=True))
    one, report = good(td).but(collateral=td.intel.collateral(tcb_info=info, crls=lists)), td.report(bytes(64))
    of_the_quote = {
        "root": f"Simulated {ROOT_NAME}",
        "root_key": td.intel.anchor().spki_sha256.hex(),
        "fmspc": td.intel.platform.fmspc.hex(),
        "ppid": td.intel.platform.ppid.hex(),
        "tee_tcb_svn": report.tee_tcb_svn.hex(),
        "mr_seam": report.mr_seam.hex(),
        "mr_td": report.mr_td.hex(),
        **{f"rtmr{index}": value.hex() for index, value in enumerate(report.rtmrs)},
        "host_acpi_tables": "measured into RTMR 0, which the policy does not pin",
    }
    of_intel = {
        "tcb_status": "SWHardeningNeeded",
        "tcb_date": "2026-01-01T00:00:00.000Z",
        "advisories": "INTEL-SA-00001, INTEL-SA-00615",
        "tcb_info": "of 2026-02-20T00:00:00.000Z, next due 2026-03-30T12:00:00.000Z, evaluation data 18",
        "qe_identity": "of 2026-02-28T12:00:00.000Z, next due 2026-03-30T12:00:00.000Z, evaluation data 18",
        "crl": "of 2026-02-27T12:00:00.000Z, next due 2026-03-29T12:00:00.000Z",
        "tcb_evaluation": "18",
    }
    missing = {**dict.fromkeys(of_intel, "none"), "advisories": ""}
    for case_, said in ((one, of_intel), (one.but(collateral=InMemory()), missing)):
        assert case_.verdict().claims.identity == {**of_the_quote, **said}


def test_verdict_says_whether_the_hosts_acpi_tables_are_pinned(td: Td) -> None:
    assert good(td).verdict().claims.identity["host_acpi_tables"].endswith("does not pin")
    image = td.image()
    assert image.tdx is not None
    rtmrs = {**image.tdx.rtmrs, 0: td.report(bytes(64)).rtmr0}
    pinned = dataclasses.replace(image, tdx=dataclasses.replace(image.tdx, rtmrs=rtmrs))
    verdict = good(td).but(policy=td.policy(images=(pinned,))).verdict()
    assert verdict.claims.identity["host_acpi_tables"] == "measured into RTMR 0, which the policy pins"


def test_unnamed_anchor_is_shown_by_its_vendor(td: Td) -> None:
    anchor = dataclasses.replace(td.intel.anchor(), name="")
    assert good(td).but(anchor=anchor).verdict().claims.identity["root"] == "simulated"


def test_simulated_intel_is_rejected_unless_the_caller_passes_its_root(td: Td) -> None:
    one = good(td)
    verdict = verify(
        one.evidence, one.policy, purpose=SESSION, at=AT, manifest_digest=MANIFEST, collateral=one.collateral
    )
    assert names(verdict) == ["tdx-pck-path", "tdx-tcb-info", "tdx-qe-identity"]


def test_two_anchors_for_intel_are_an_error(td: Td) -> None:
    one = good(td)
    with pytest.raises(PolicyError, match="2 anchors"):
        verify(one.evidence, one.policy, purpose=SESSION, at=AT, roots=(one.anchor, Intel.create(AT).anchor()))
    raw = RawTdx(one.evidence.tdx_quote or b"")
    with pytest.raises(PolicyError, match="0 anchors"):
        verify_raw(raw, evidence_policy(one.policy), report_data=None, at=AT, roots=())


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (AT.replace(tzinfo=None), "no time zone"),
        (datetime.max.replace(tzinfo=timezone(-HOUR)), "beyond the years"),
        (datetime.min.replace(tzinfo=timezone(HOUR)), "beyond the years"),
    ],
)
def test_time_outside_utc_range_is_an_error(td: Td, at: datetime, message: str) -> None:
    one = good(td)
    with pytest.raises(PolicyError, match=message):
        one.but(at=at).verdict()
    with pytest.raises(PolicyError, match=message):
        verify_raw(RawTdx(one.evidence.tdx_quote or b""), evidence_policy(one.policy), report_data=None, at=at)


def test_verdict_time_is_in_utc(td: Td) -> None:
    one = good(td)
    elsewhere = one.but(at=AT.astimezone(timezone(HOUR))).verdict()
    assert elsewhere.encode() == one.verdict().encode()


def test_attestation_key_outside_the_curve_is_malformed(td: Td) -> None:
    evidence, start = td.evidence(BINDING), 702 + 4 + 64  # after the signed part, the size and the signature
    quote = evidence.tdx_quote or b""
    changed = dataclasses.replace(evidence, tdx_quote=quote[:start] + bytes(64) + quote[start + 64 :])
    with pytest.raises(MalformedEvidence, match="is not a point on the curve P-256") as caught:
        case(td, changed).verdict()
    assert (caught.value.field, caught.value.offset) == ("TDX quote.attestation key", 0)
