"""The TCB status on the platform tdx: advisories, the period of grace, the TDX module."""

from datetime import date
from typing import Any

import pytest

from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.tcb_info import TcbStatus
from cloister.attestation.testkit import Td
from tests.attestation.platforms.tdx_cases import (
    AT,
    BINDING,
    MANIFEST,
    Case,
    case,
    names,
    reported,
    stated,
)
from tests.attestation.wording import require_words


@pytest.fixture(scope="module")
def td() -> Td:
    return Td.create(AT, manifest_digest=MANIFEST)


def status(td: Td, text: str, **changes: Any) -> Case:
    return stated(td, lambda info: info["tcbLevels"][0].update(tcbStatus=text, **changes))


def test_accepted_status_also_needs_its_advisories_accepted(td: Td) -> None:
    one = status(td, "SWHardeningNeeded", advisoryIDs=["INTEL-SA-00615"])
    statuses = (TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED)
    assert names(one.but(policy=td.policy(tdx=TdxPolicy(tcb_statuses=statuses))).verdict()) == ["tdx-advisories"]
    policy = td.policy(tdx=TdxPolicy(tcb_statuses=statuses, advisories=("INTEL-SA-00615",)))
    assert one.but(policy=policy).verdict().accepted


@pytest.mark.parametrize(("day", "grace", "accepted"), [(10, 0, True), (11, 0, False), (20, 10, True), (20, 9, False)])
def test_out_of_date_platform_is_accepted_within_grace(td: Td, day: int, grace: int, accepted: bool) -> None:
    one = status(td, "OutOfDate", tcbDate="2026-02-10T00:00:00Z", advisoryIDs=["INTEL-SA-00001"])
    section = TdxPolicy(up_to_date_as_of=date(2026, 2, day), grace_days=grace)
    verdict = one.but(policy=td.policy(tdx=section)).verdict()
    assert verdict.accepted is accepted
    assert names(verdict) == ([] if accepted else ["tdx-tcb-status", "tdx-advisories"])


OLD_MODULE = bytes([3, 1, 3, *[0] * 13])
OLD_MICROCODE = bytes([5, 1, 2, *[0] * 13])


@pytest.mark.parametrize("svn", [OLD_MODULE, OLD_MICROCODE])
@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("UpToDate", set()),
        ("SWHardeningNeeded", {"SWHardeningNeeded"}),
        ("ConfigurationNeeded", {"ConfigurationNeeded"}),
        ("ConfigurationAndSWHardeningNeeded", {"ConfigurationAndSWHardeningNeeded"}),
    ],
)
def test_older_module_or_microcode_does_not_hide_needed_hardening(
    td: Td, svn: bytes, text: str, needed: set[str]
) -> None:
    """Grace covers what became known later: a host must not get it by presenting an older version."""
    info = td.intel.tcb_info()
    info["tcbLevels"][0].update(tcbStatus=text, advisoryIDs=["INTEL-SA-00615"] if needed else [])
    info["tcbLevels"][1].update(tcbDate="2026-02-01T00:00:00Z", advisoryIDs=["INTEL-SA-00615", "INTEL-SA-09999"])
    info["tdxModuleIdentities"][0]["tcbLevels"][1].update(tcbDate="2026-02-01T00:00:00Z")
    evidence = td.evidence(BINDING, {"tee_tcb_svn": svn, "tee_tcb_svn2": svn})
    one = case(td, evidence, collateral=td.intel.collateral(tcb_info=info))

    def judged(*statuses: str, advisories: tuple[str, ...] = ()) -> list[str]:
        accepted = (TcbStatus.UP_TO_DATE, *map(TcbStatus, statuses))
        section = TdxPolicy(tcb_statuses=accepted, advisories=advisories, up_to_date_as_of=date(2026, 1, 15))
        return names(one.but(policy=td.policy(tdx=section)).verdict())

    assert judged(*needed, advisories=("INTEL-SA-00615",)) == []
    assert judged() == (["tdx-tcb-status", "tdx-advisories"] if needed else [])
    assert judged(*needed) == (["tdx-advisories"] if needed else [])


def test_grace_does_not_cover_configuration_or_revocation(td: Td) -> None:
    section = TdxPolicy(up_to_date_as_of=date(2020, 1, 1))
    for text in ("OutOfDateConfigurationNeeded", "Revoked", "ConfigurationNeeded"):
        verdict = status(td, text).but(policy=td.policy(tdx=section)).verdict()
        assert names(verdict) == ["tdx-tcb-status"]


def test_unpublished_module_is_rejected(td: Td) -> None:
    verdict = reported(td, tee_tcb_svn=bytes([5, 9, 3, *[0] * 13])).verdict()
    assert names(verdict) == ["tdx-module", "tdx-tcb-status"]
    assert verdict.failures[0].found == "version 9, which is unknown"
    require_words(verdict)


def test_module_attributes_must_equal_the_published_ones(td: Td) -> None:
    published = stated(td, lambda info: info["tdxModuleIdentities"][0].update(attributes="01" + "00" * 7))
    assert names(published.verdict()) == ["tdx-module"]
