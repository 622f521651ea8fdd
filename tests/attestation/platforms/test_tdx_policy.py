"""The policy's section on the platform tdx: what it accepts of a TD, and what it refuses to say."""

import dataclasses
from datetime import date
from typing import Any

import pytest

from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.tcb_info import TcbStatus
from cloister.attestation.testkit import Td
from tests.attestation.platforms.tdx_cases import (
    AT,
    MANIFEST,
    OTHER_48,
    SEPT_VE_DISABLE,
    good,
    names,
    reported,
)
from tests.attestation.wording import require_words


@pytest.fixture(scope="module")
def td() -> Td:
    return Td.create(AT, manifest_digest=MANIFEST)


def test_td_report_1_0_is_supported_and_has_no_service_td(td: Td) -> None:
    verdict = reported(td, tee_tcb_svn2=None, mr_service_td=None).verdict()
    assert verdict.accepted
    (check,) = [check for check in verdict.checks if check.name == "tdx-service-td"]
    assert check.outcome is CheckOutcome.NOT_APPLICABLE


def test_named_service_tds_cannot_be_judged_from_a_td_report_1_0(td: Td) -> None:
    policy = td.policy(tdx=TdxPolicy(service_tds=(OTHER_48,)))
    assert names(reported(td, tee_tcb_svn2=None, mr_service_td=None).but(policy=policy).verdict()) == ["tdx-service-td"]
    assert names(reported(td, mr_service_td=OTHER_48).but(policy=policy).verdict()) == []


def test_a_debug_image_that_the_policy_allows_is_not_confidential(td: Td) -> None:
    allowed = good(td).but(policy=td.policy(images=(td.image(debug=True),), allow_debug=True)).verdict()
    assert (allowed.accepted, allowed.confidential) == (True, False)


@pytest.mark.parametrize(
    ("xfam", "accepted"),
    [("0300000000000000", True), ("0200000000000000", False), ("0100000000000000", False), ("e7db060000000000", True)],
)
def test_xfam_has_a_minimum_and_a_maximum(td: Td, xfam: str, accepted: bool) -> None:
    verdict = reported(td, xfam=bytes.fromhex(xfam)).verdict()
    assert names(verdict) == ([] if accepted else ["tdx-xfam"])


@pytest.mark.parametrize(
    ("attributes", "failures"),
    [
        ("0000005000000000", []),  # PKS besides
        ("0000009000000000", []),  # key locker besides
        ("0000001000000080", ["tdx-attributes"]),  # PERFMON
        ("0000001800000000", ["tdx-attributes"]),  # a reserved bit
        ("0000000000000000", ["tdx-attributes"]),  # without SEPT_VE_DISABLE
        ("8000001000000000", ["tdx-debug"]),
        ("0000002000000000", ["tdx-migratable", "tdx-attributes"]),
    ],
)
def test_td_attributes_must_be_allowed(td: Td, attributes: str, failures: list[str]) -> None:
    assert names(reported(td, td_attributes=bytes.fromhex(attributes)).verdict()) == failures


def test_snp_section_has_one_encoding(td: Td) -> None:
    section = TdxPolicy(
        up_to_date_as_of=date(2026, 1, 31),
        grace_days=30,
        advisories=("INTEL-SA-00615",),
        max_collateral_age_days=14,
        min_tcb_evaluation_data_number=18,
        mr_seams=(OTHER_48,),
        service_tds=(OTHER_48,),
    )
    policy = td.policy(tdx=section)
    assert Policy.parse(policy.encode()) == policy
    assert section.value().keys() == {member.name for member in dataclasses.fields(TdxPolicy)}
    assert TdxPolicy.from_value({}) == TdxPolicy()


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes_allowed": SEPT_VE_DISABLE | 1},
        {"attributes_allowed": SEPT_VE_DISABLE | 1 << 29},
        {"attributes_required": 1 << 63},
        {"tcb_statuses": (TcbStatus.UP_TO_DATE, TcbStatus.REVOKED)},
        {"tcb_statuses": ()},
        {"grace_days": 1},
        {"grace_days": 4000, "up_to_date_as_of": date(2026, 1, 1)},
        {"up_to_date_as_of": date(1, 1, 1)},
    ],
)
def test_contradictory_section_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        TdxPolicy(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"tdx": None}, {"images": ()}, {"platforms": (Platform.LOCAL,)}],
)
def test_section_and_platform_must_match(td: Td, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        td.policy(**changes)


def test_image_without_tdx_registers_never_matches(td: Td) -> None:
    bare = dataclasses.replace(td.image(), tdx=None)
    verdict = good(td).but(policy=td.policy(images=(bare,))).verdict()
    assert names(verdict) == ["tdx-mrtd", "tdx-rtmr-1", "tdx-rtmr-2"]
    require_words(verdict)
    assert not verdict.confidential
    assert good(td).but(policy=td.policy(images=(bare, td.image()))).verdict().accepted


def test_same_td_image_cannot_be_debug_and_not_debug(td: Td) -> None:
    with pytest.raises(PolicyError, match="one image both as"):
        td.policy(images=(td.image(), td.image("debug", debug=True)))
