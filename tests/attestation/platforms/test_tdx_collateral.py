"""Intel's endorsements on the platform tdx: certificates, revocation lists, and which statement counts."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO, CollateralItem, InMemory
from cloister.attestation.evidence import Evidence
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.tdx.certificates import PCK_ISSUERS, SIGNER_NAME
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit import Intel, Td
from cloister.attestation.testkit.intel import ROOT_NAME, certify
from tests.attestation.platforms.tdx_cases import (
    AT,
    BINDING,
    MANIFEST,
    case,
    foreign_pck,
    good,
    identified,
    names,
    new_key,
    other_intel,
    replaced,
    serial,
    stated,
)


@pytest.fixture(scope="module")
def td() -> Td:
    return Td.create(AT, manifest_digest=MANIFEST)


def test_lower_evaluation_of_tcb_info_and_qe_identity_counts(td: Td) -> None:
    info = td.intel.tcb_info()
    info["tcbEvaluationDataNumber"] = 19
    one = good(td).but(collateral=td.intel.collateral(tcb_info=info))
    said = "18, the lower one of TCB info and QE identity; the other has 19"
    assert names(one.verdict()) == []
    assert one.verdict().claims.identity["tcb_evaluation"] == said
    demanding = one.but(policy=td.policy(tdx=TdxPolicy(min_tcb_evaluation_data_number=19))).verdict()
    assert [(check.name, check.found) for check in demanding.failures] == [("tdx-tcb-evaluation-number", said)]


def test_collateral_may_come_with_the_evidence(td: Td) -> None:
    collateral = td.intel.collateral()
    items = tuple(CollateralItem(kind, content) for kind, all_ in collateral.contents.items() for content in all_)
    evidence = dataclasses.replace(td.evidence(BINDING), collateral=items)
    assert case(td, Evidence.parse_json(evidence.encode_json()), collateral=InMemory()).verdict().accepted


def test_pck_cannot_sign_tcb_info(td: Td) -> None:
    """An attacker who extracts one platform's key must not be able to declare platforms up to date."""
    intel = td.intel
    forged = intel.statement("tcbInfo", intel.tcb_info(), intel.pck_key)
    chain = (intel.pck, intel.authority, intel.signer, intel.root)
    contents = {**intel.collateral().contents, CERTIFICATE: chain, TCB_INFO: (forged,)}
    verdict = good(td).but(collateral=InMemory(contents)).verdict()
    assert names(verdict) == ["tdx-tcb-info"]
    assert verdict.failures[0].found == "no available key of Intel's signed it"


def test_tcb_signer_below_an_intermediate_ca_is_rejected(td: Td) -> None:
    intel, key = td.intel, new_key()
    signer = certify(AT, intel.authority_key, PCK_ISSUERS[0], SIGNER_NAME, key)
    forged = intel.statement("tcbInfo", intel.tcb_info(), key)
    chain = (signer, intel.authority, intel.signer, intel.root)
    contents = {**intel.collateral().contents, CERTIFICATE: chain, TCB_INFO: (forged,)}
    assert names(good(td).but(collateral=InMemory(contents)).verdict()) == ["tdx-tcb-info"]


def test_tcb_signing_key_is_not_a_pck(td: Td) -> None:
    intel = td.intel
    extension = intel.platform.extension()
    pck = certify(AT, intel.root_key, ROOT_NAME, SIGNER_NAME, intel.pck_key, extension=extension)
    assert names(case(td, other_intel(td, pck=pck).evidence(BINDING)).verdict()) == ["tdx-pck-path"]


def test_missing_crl_is_rejected_unless_the_policy_allows_it(td: Td) -> None:
    bare = good(td).but(collateral=td.intel.collateral(crls=()))
    assert names(bare.verdict()) == ["tdx-pck-revocation", "tdx-ca-revocation"]
    verdict = bare.but(policy=td.policy(tdx=TdxPolicy(require_crl=False))).verdict()
    assert verdict.accepted
    open_ = {check.name for check in verdict.checks if check.outcome is CheckOutcome.NOT_APPLICABLE}
    assert {"tdx-pck-revocation", "tdx-ca-revocation"} <= open_


def test_certificate_revoked_by_an_expired_crl_stays_revoked(td: Td) -> None:
    """The host omits the current list; the old one still counts against the platform."""
    past = td.intel.crl(revoked=[serial(td.intel.pck)], since=AT - timedelta(days=90))
    lists = (past, td.intel.crl(of_root=True))
    loose = td.policy(tdx=TdxPolicy(require_crl=False))
    verdict = good(td).but(collateral=td.intel.collateral(crls=lists), policy=loose).verdict()
    assert names(verdict) == ["tdx-pck-revocation"]


@pytest.mark.parametrize("days", [-40, 1])
def test_crl_that_is_not_current_counts_as_missing(td: Td, days: int) -> None:
    lists = (td.intel.crl(since=AT + timedelta(days=days)), td.intel.crl(of_root=True))
    assert names(good(td).but(collateral=td.intel.collateral(crls=lists)).verdict()) == ["tdx-pck-revocation"]


def test_revoked_tcb_signer_is_rejected(td: Td) -> None:
    lists = (td.intel.crl(), td.intel.crl(of_root=True, revoked=[serial(td.intel.signer)]))
    assert names(good(td).but(collateral=td.intel.collateral(crls=lists)).verdict()) == ["tdx-ca-revocation"]


def test_older_statement_in_evidence_does_not_replace_the_callers(td: Td) -> None:
    info = td.intel.tcb_info()
    info.update(tcbEvaluationDataNumber=17, issueDate="2026-02-20T00:00:00Z")
    newer = td.intel.tcb_info()
    newer["tcbLevels"][0]["tcbStatus"] = "OutOfDate"
    old_, new = td.intel.statement("tcbInfo", info), td.intel.statement("tcbInfo", newer)
    for order in ((old_, new), (new, old_)):
        assert names(replaced(td, TCB_INFO, *order).verdict()) == ["tdx-tcb-status"]


@pytest.mark.parametrize(
    ("kind", "member", "check"),
    [(TCB_INFO, "tcbInfo", "tdx-tcb-info-validity"), (QE_IDENTITY, "enclaveIdentity", "tdx-qe-identity-validity")],
)
def test_higher_evaluation_number_wins_even_if_expired(td: Td, kind: str, member: str, check: str) -> None:
    """Intel publishes both; otherwise a host could override the caller's newer one with an older one."""
    statement = td.intel.tcb_info if kind == TCB_INFO else td.intel.qe_identity
    newer = statement() | {"issueDate": "2026-01-20T00:00:00Z", "nextUpdate": "2026-02-20T00:00:00Z"}
    fresh = td.intel.statement(member, statement() | {"tcbEvaluationDataNumber": 17})
    overdue = td.intel.statement(member, newer)
    for order in ((fresh, overdue), (overdue, fresh)):
        assert names(replaced(td, kind, *order).verdict()) == [check]


@pytest.mark.parametrize("number", [18, 19])
def test_unissued_statement_does_not_replace_an_issued_one(td: Td, number: int) -> None:
    """A folder may have newer statements when a recording is appraised as of its own time."""
    later = {"issueDate": "2026-03-02T00:00:00Z", "tcbEvaluationDataNumber": number}
    statements = [td.intel.statement("tcbInfo", one) for one in (td.intel.tcb_info(), td.intel.tcb_info() | later)]
    for order in (statements, reversed(statements)):
        assert replaced(td, TCB_INFO, *order).verdict().accepted


def test_newest_statement_of_an_evaluation_counts(td: Td) -> None:
    old = {"issueDate": "2026-01-20T00:00:00Z", "nextUpdate": "2026-02-20T00:00:00Z"}
    statements = [td.intel.statement("tcbInfo", one) for one in (td.intel.tcb_info() | old, td.intel.tcb_info())]
    for order in (statements, reversed(statements)):
        assert replaced(td, TCB_INFO, *order).verdict().accepted


@pytest.mark.parametrize(
    ("forged", "changes"),
    [
        (True, {"tcbEvaluationDataNumber": 30}),
        (False, {"tcbEvaluationDataNumber": 30, "issueDate": "2026-03-02T00:00:00Z"}),
        (False, {"tcbEvaluationDataNumber": 17, "issueDate": "2026-03-01T00:00:00Z"}),
        (False, {"issueDate": "2026-03-01T00:00:00Z", "nextUpdate": "2026-03-01T06:00:00Z"}),
        (False, {"issueDate": "2026-02-20T00:00:00Z"}),
    ],
    ids=["not signed", "not yet issued", "of an older evaluation", "overdue", "older"],
)
def test_statement_of_a_lower_evaluation_is_ignored(td: Td, forged: bool, changes: dict[str, Any]) -> None:
    """The other statement would call the platform out of date."""
    other = td.intel.tcb_info() | changes
    other["tcbLevels"][0]["tcbStatus"] = "OutOfDate"
    statements = (
        td.intel.statement("tcbInfo", td.intel.tcb_info()),
        td.intel.statement("tcbInfo", other, new_key() if forged else None),
    )
    for order in (statements, statements[::-1]):
        assert names(replaced(td, TCB_INFO, *order).verdict()) == []


def test_statement_counts_from_its_issue_date(td: Td) -> None:
    newer = td.intel.tcb_info() | {"tcbEvaluationDataNumber": 30, "issueDate": "2026-03-01T12:00:00Z"}
    newer["tcbLevels"][0]["tcbStatus"] = "OutOfDate"
    statements = [td.intel.statement("tcbInfo", info) for info in (td.intel.tcb_info(), newer)]
    for at, failures in ((AT, ["tdx-tcb-status"]), (AT - timedelta(seconds=1), [])):
        assert names(replaced(td, TCB_INFO, *statements).but(at=at).verdict()) == failures


def test_statement_from_the_future_is_not_current(td: Td) -> None:
    later = {"issueDate": "2026-03-02T00:00:00Z"}
    assert names(stated(td, lambda info: info.update(later)).verdict()) == ["tdx-tcb-info-validity"]


def test_missing_statement_for_the_platform_is_rejected(td: Td) -> None:
    assert names(stated(td, lambda info: info.update(fmspc="ffffffffffff")).verdict()) == ["tdx-tcb-info"]
    assert names(replaced(td, QE_IDENTITY).verdict()) == ["tdx-qe-identity"]


def test_crl_counts_towards_collateral_age(td: Td) -> None:
    lists = (td.intel.crl(since=AT - timedelta(days=25)), td.intel.crl(of_root=True))
    policy = td.policy(tdx=TdxPolicy(max_collateral_age_days=20))
    one = good(td).but(collateral=td.intel.collateral(crls=lists), policy=policy)
    assert names(one.verdict()) == ["tdx-collateral-age"]
    assert good(td).but(policy=policy).verdict().accepted


def test_crls_of_other_issuers_are_ignored(td: Td) -> None:
    other = Intel.create(AT)
    lists = (other.crl(name="Somebody else"), td.intel.crl(), td.intel.crl(of_root=True))
    assert replaced(td, CRL, *lists).verdict().accepted


def test_certificates_of_other_vendors_are_ignored(td: Td) -> None:
    """A folder of collateral may serve every platform, and hold more certificates than a path search considers."""
    others = [certify(AT, td.intel.root_key, "ARK-Milan", f"SEV-VCEK-{index}", td.intel.pck_key) for index in range(40)]
    contents = (*others, b"\x30\x03nothing", *td.intel.collateral().items(CERTIFICATE))
    assert replaced(td, CERTIFICATE, *contents).verdict().accepted


def test_another_certificate_of_the_root_key_must_be_self_signed(td: Td) -> None:
    forged = certify(AT, new_key(), ROOT_NAME, ROOT_NAME, td.intel.root_key, ca=1)
    assert replaced(td, CERTIFICATE, forged, td.intel.signer).verdict().accepted  # the chain of the quote has the root


def test_without_a_path_validity_does_not_apply(td: Td) -> None:
    verdict = foreign_pck(td).verdict()
    outcomes = {check.name: check.outcome for check in verdict.checks}
    for name in ("tdx-pck-validity", "tdx-pck-revocation", "tdx-ca-revocation"):
        assert outcomes[name] is CheckOutcome.NOT_APPLICABLE


def test_every_certificate_of_a_path_must_be_valid(td: Td) -> None:
    """The platform's certificate outlives the authority that issued it."""
    intel, until = td.intel, AT - timedelta(days=1)
    authority = certify(AT, intel.root_key, ROOT_NAME, PCK_ISSUERS[0], intel.authority_key, ca=0, until=until)
    verdict = case(td, other_intel(td, authority=authority).evidence(BINDING)).verdict()
    assert names(verdict) == ["tdx-pck-validity"]
    assert "2026-02-28" in verdict.failures[0].found


@pytest.mark.parametrize("member", ["tcbInfo", "enclaveIdentity"])
def test_revocation_of_either_statement_signer_is_rejected(td: Td, member: str) -> None:
    """Another signer's certificate that is not revoked does not replace it."""
    intel, key = td.intel, new_key()
    signer = certify(AT, intel.root_key, ROOT_NAME, SIGNER_NAME, key)
    collateral = intel.collateral(crls=(intel.crl(), intel.crl(of_root=True, revoked=[serial(signer)])))
    kind, value = {"tcbInfo": (TCB_INFO, intel.tcb_info()), "enclaveIdentity": (QE_IDENTITY, intel.qe_identity())}[
        member
    ]
    contents = {
        **collateral.contents,
        CERTIFICATE: (*collateral.contents[CERTIFICATE], signer),
        kind: (intel.statement(member, value, key),),
    }
    assert names(good(td).but(collateral=InMemory(contents)).verdict()) == ["tdx-ca-revocation"]


def test_expired_signer_makes_a_statement_expired(td: Td) -> None:
    intel, until = td.intel, AT - timedelta(days=1)
    signer = certify(AT, intel.root_key, ROOT_NAME, SIGNER_NAME, intel.signer_key, until=until)
    verdict = replaced(td, CERTIFICATE, signer, intel.root).verdict()
    assert names(verdict) == ["tdx-tcb-info-validity", "tdx-qe-identity-validity"]
    assert all(check.found.startswith("signer's certificates valid from") for check in verdict.failures)


def test_age_and_number_limits_do_not_apply_without_statements(td: Td) -> None:
    policy = td.policy(tdx=TdxPolicy(max_collateral_age_days=20, min_tcb_evaluation_data_number=1))
    verdict = good(td).but(collateral=InMemory({CERTIFICATE: (td.intel.root,)}), policy=policy).verdict()
    assert names(verdict) == ["tdx-pck-revocation", "tdx-ca-revocation", "tdx-tcb-info", "tdx-qe-identity"]
    reasons = {check.name: check.reason for check in verdict.checks}
    for name in ("tdx-collateral-age", "tdx-tcb-evaluation-number"):
        assert reasons[name] == "there is no statement that is signed"


@pytest.mark.parametrize(("seconds", "accepted"), [(0, True), (1, False)])
def test_statement_at_the_age_limit_is_accepted(td: Td, seconds: int, accepted: bool) -> None:
    day = AT - timedelta(days=20, seconds=seconds)
    dated = stated(td, lambda info: info.update(issueDate=day.strftime("%Y-%m-%dT%H:%M:%SZ")))
    verdict = dated.but(policy=td.policy(tdx=TdxPolicy(max_collateral_age_days=20))).verdict()
    assert names(verdict) == ([] if accepted else ["tdx-collateral-age"])


def test_lowest_evaluation_number_is_compared(td: Td) -> None:
    """The test kit's statements have number 18."""
    newer = {"tcbEvaluationDataNumber": 30}
    changes = (lambda document: None, lambda document: document.update(newer))
    for least, failures in ((18, []), (19, ["tdx-tcb-evaluation-number"])):
        policy = td.policy(tdx=TdxPolicy(min_tcb_evaluation_data_number=least))
        for made in (stated(td, changes[0]), stated(td, changes[1]), identified(td, changes[1])):
            verdict = made.but(policy=policy).verdict()
            assert names(verdict) == failures
            (said,) = [check.found for check in verdict.checks if check.name == "tdx-tcb-evaluation-number"]
            assert said.split(",")[0] == "18"
