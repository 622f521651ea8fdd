"""The status of a platform is found as Intel defines it."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.tdx.certificates import Pck
from cloister.attestation.tdx.tcb_info import QeIdentity, TcbInfo, TcbStatus
from cloister.attestation.tdx.tcb_status import Evaluation, converge, evaluate
from cloister.attestation.testkit import Td
from cloister.attestation.x509.certificate import Certificate

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TD = Td.create(AT)
INTEL = TD.intel
PCK = Pck.parse(Certificate.parse(INTEL.pck))
GOOD = bytes([5, 1, 3, *[0] * 13])


def evaluated(
    *,
    svn: bytes = GOOD,
    svn2: bytes | None = None,
    qe_svn: int = 4,
    info: dict[str, Any] | None = None,
    identity: dict[str, Any] | None = None,
) -> Evaluation:
    changes: dict[str, Any] = {"tee_tcb_svn": svn, "tee_tcb_svn2": svn2}
    if svn2 is None:
        changes["mr_service_td"] = None
    return evaluate(
        TD.report(bytes(64), **changes),
        PCK,
        TcbInfo.parse(INTEL.statement("tcbInfo", info or INTEL.tcb_info())),
        QeIdentity.parse(INTEL.statement("enclaveIdentity", identity or INTEL.qe_identity())),
        qe_svn,
    )


def with_statuses(platform: str, module: str = "UpToDate", enclave: str = "UpToDate") -> tuple[dict[str, Any], ...]:
    info, identity = INTEL.tcb_info(), INTEL.qe_identity()
    info["tcbLevels"][0]["tcbStatus"] = platform
    info["tdxModuleIdentities"][0]["tcbLevels"][0]["tcbStatus"] = module
    identity["tcbLevels"][0]["tcbStatus"] = enclave
    return info, identity


def test_platform_at_the_newest_level_is_up_to_date() -> None:
    date = datetime(2026, 1, 1, tzinfo=UTC)
    assert evaluated() == Evaluation(TcbStatus.UP_TO_DATE, date=date)


@pytest.mark.parametrize("index", [index for index, svn in enumerate(PCK.components) if svn])
def test_one_low_component_gets_the_next_level(index: int) -> None:
    info = INTEL.tcb_info()
    info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][index]["svn"] += 1
    found = evaluated(info=info)
    assert (found.status, found.advisories) == (TcbStatus.OUT_OF_DATE, ("INTEL-SA-09999",))
    assert found.out_of_date_since == found.date == datetime(2025, 6, 1, tzinfo=UTC)


def test_low_pcesvn_gets_the_next_level() -> None:
    info = INTEL.tcb_info()
    info["tcbLevels"][0]["tcb"]["pcesvn"] += 1
    assert evaluated(info=info).status is TcbStatus.OUT_OF_DATE
    info["tcbLevels"][1]["tcb"]["pcesvn"] = 14
    found = evaluated(info=info)
    assert found == Evaluation(None, "no TCB level is as low as the platform's SGX components and PCESVN")


def test_low_microcode_component_gets_the_next_level() -> None:
    assert evaluated(svn=bytes([5, 1, 2, *[0] * 13])).status is TcbStatus.OUT_OF_DATE


def test_module_version_0_is_part_of_the_components() -> None:
    assert evaluated(svn=bytes([4, 0, 3, *[0] * 13])).status is TcbStatus.UP_TO_DATE
    assert evaluated(svn=bytes([3, 0, 3, *[0] * 13])).status is TcbStatus.OUT_OF_DATE


def test_later_module_version_has_its_own_levels() -> None:
    # Neither the SVN of the components (4) nor the version of the level (0) counts for it.
    assert evaluated(svn=bytes([4, 1, 3, *[0] * 13])).status is TcbStatus.OUT_OF_DATE
    assert evaluated(svn=bytes([1, 1, 3, *[0] * 13])) == Evaluation(
        None, "no level of the TDX module is as low as SVN 1"
    )
    assert evaluated(svn=bytes([9, 2, 3, *[0] * 13])) == Evaluation(None, "no TDX module of version 2 is known")


def test_platforms_below_every_tdx_level_have_no_status() -> None:
    info = INTEL.tcb_info()
    for level in info["tcbLevels"]:
        level["tcb"]["tdxtcbcomponents"][2]["svn"] = 4
    assert evaluated(info=info) == Evaluation(None, "no TCB level is as low as the platform's TDX components")


def test_quoting_enclave_has_its_own_levels() -> None:
    assert evaluated(qe_svn=3).status is TcbStatus.OUT_OF_DATE
    assert evaluated(qe_svn=0) == Evaluation(None, "no level of the quoting enclave is as low as SVN 0")


def test_advisories_of_all_levels_are_collected() -> None:
    info, identity = with_statuses("SWHardeningNeeded", "OutOfDate", "OutOfDate")
    info["tcbLevels"][0]["advisoryIDs"] = ["INTEL-SA-00003", "INTEL-SA-00001"]
    info["tdxModuleIdentities"][0]["tcbLevels"][0]["advisoryIDs"] = ["INTEL-SA-00002"]
    identity["tcbLevels"][0]["advisoryIDs"] = ["INTEL-SA-00001"]
    found = evaluated(info=info, identity=identity)
    assert found.advisories == ("INTEL-SA-00001", "INTEL-SA-00002", "INTEL-SA-00003")


@pytest.mark.parametrize(
    ("platform", "module", "enclave", "wanted"),
    [
        ("UpToDate", "UpToDate", "UpToDate", "UpToDate"),
        ("SWHardeningNeeded", "UpToDate", "UpToDate", "SWHardeningNeeded"),
        ("ConfigurationNeeded", "UpToDate", "UpToDate", "ConfigurationNeeded"),
        ("ConfigurationAndSWHardeningNeeded", "UpToDate", "UpToDate", "ConfigurationAndSWHardeningNeeded"),
        ("OutOfDate", "UpToDate", "UpToDate", "OutOfDate"),
        ("OutOfDateConfigurationNeeded", "UpToDate", "UpToDate", "OutOfDateConfigurationNeeded"),
        ("Revoked", "UpToDate", "UpToDate", "Revoked"),
        ("UpToDate", "OutOfDate", "UpToDate", "OutOfDate"),
        ("SWHardeningNeeded", "OutOfDate", "UpToDate", "OutOfDate"),
        ("ConfigurationNeeded", "OutOfDate", "UpToDate", "OutOfDateConfigurationNeeded"),
        ("ConfigurationAndSWHardeningNeeded", "OutOfDate", "UpToDate", "OutOfDateConfigurationNeeded"),
        ("OutOfDateConfigurationNeeded", "OutOfDate", "UpToDate", "OutOfDateConfigurationNeeded"),
        ("Revoked", "OutOfDate", "UpToDate", "Revoked"),
        ("UpToDate", "Revoked", "UpToDate", "Revoked"),
        ("UpToDate", "UpToDate", "OutOfDate", "OutOfDate"),
        ("SWHardeningNeeded", "UpToDate", "OutOfDate", "OutOfDate"),
        ("ConfigurationNeeded", "UpToDate", "OutOfDate", "OutOfDateConfigurationNeeded"),
        ("ConfigurationAndSWHardeningNeeded", "UpToDate", "OutOfDate", "OutOfDateConfigurationNeeded"),
        ("ConfigurationNeeded", "OutOfDate", "Revoked", "Revoked"),
        ("UpToDate", "UpToDate", "ConfigurationNeeded", "ConfigurationNeeded"),
        ("UpToDate", "UpToDate", "OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"),
    ],
)
def test_statuses_are_combined(platform: str, module: str, enclave: str, wanted: str) -> None:
    info, identity = with_statuses(platform, module, enclave)
    assert evaluated(info=info, identity=identity).status == wanted


def test_combined_status_is_never_better_than_its_parts() -> None:
    worse = {TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, TcbStatus.REVOKED}
    for statuses in itertools.product(tuple(TcbStatus)[:7], repeat=3):
        found = converge(*statuses)
        assert (found is TcbStatus.UP_TO_DATE) == (set(statuses) == {TcbStatus.UP_TO_DATE})
        assert (found in worse) == bool(worse & set(statuses))
        assert (found is TcbStatus.REVOKED) == (TcbStatus.REVOKED in statuses)


# --- a module that was updated under the TD (TD report 1.5) ----------------------------------------------------------

OLD = bytes([2, 1, 3, *[0] * 13])


def test_td_launched_under_an_outdated_module_is_advised_to_relaunch() -> None:
    assert evaluated(svn=OLD).status is TcbStatus.OUT_OF_DATE
    assert evaluated(svn=OLD, svn2=OLD).status is TcbStatus.OUT_OF_DATE
    found = evaluated(svn=OLD, svn2=GOOD)
    assert found.status is TcbStatus.TD_RELAUNCH_ADVISED
    assert found.advisories == ("INTEL-SA-09999",)


@pytest.mark.parametrize("platform", ["ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"])
def test_relaunch_advice_may_include_configuration(platform: str) -> None:
    info, identity = with_statuses(platform)
    found = evaluated(svn=OLD, svn2=GOOD, info=info, identity=identity)
    assert found.status is TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED


@pytest.mark.parametrize("platform", ["ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"])
def test_configuration_needed_by_the_sgx_level_is_kept_in_the_status(platform: str) -> None:
    """The first level is too new for the TDX components only, so it is the SGX level but not the platform's."""
    info, identity = with_statuses(platform)
    old = bytes([2, 1, 2, *[0] * 13])
    assert evaluated(svn=old, info=info, identity=identity).status is TcbStatus.OUT_OF_DATE
    found = evaluated(svn=old, svn2=GOOD, info=info, identity=identity)
    assert found.status is TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED


@pytest.mark.parametrize(
    ("svn2", "wanted"),
    [
        ([4, 1, 3], TcbStatus.OUT_OF_DATE),  # not the latest module
        ([5, 1, 2], TcbStatus.OUT_OF_DATE),  # not the latest microcode
        ([4, 0, 3], TcbStatus.TD_RELAUNCH_ADVISED),  # a module of version 0 is judged by the components
        ([3, 0, 3], TcbStatus.OUT_OF_DATE),
        ([6, 1, 3], TcbStatus.TD_RELAUNCH_ADVISED),  # newer than the latest that Intel knows, in each of the three
        ([5, 1, 4], TcbStatus.TD_RELAUNCH_ADVISED),
        ([5, 0, 3], TcbStatus.TD_RELAUNCH_ADVISED),
        ([9, 7, 3], None),  # an unknown module
    ],
)
def test_relaunch_advice_needs_the_latest_module(svn2: list[int], wanted: TcbStatus | None) -> None:
    assert evaluated(svn=OLD, svn2=bytes([*svn2, *[0] * 13])).status is wanted


@pytest.mark.parametrize(
    ("svn2", "wanted"),
    [
        ([4, 1, 3], Evaluation(TcbStatus.OUT_OF_DATE)),
        ([5, 1, 2], Evaluation(TcbStatus.OUT_OF_DATE)),
        ([3, 0, 3], Evaluation(TcbStatus.OUT_OF_DATE)),
        ([4, 0, 3], Evaluation(TcbStatus.UP_TO_DATE)),
        ([6, 1, 4], Evaluation(TcbStatus.UP_TO_DATE)),
        ([1, 1, 3], Evaluation(None, "what runs now: no level of the TDX module is as low as SVN 1")),
        ([9, 7, 3], Evaluation(None, "what runs now: no TDX module of version 7 is known")),
    ],
)
def test_running_tcb_must_be_as_good_as_the_launch_tcb(svn2: list[int], wanted: Evaluation) -> None:
    found = evaluated(svn=GOOD, svn2=bytes([*svn2, *[0] * 13]))
    assert (found.status, found.reason) == (wanted.status, wanted.reason)
    assert (found.out_of_date_since is None) is (wanted.status is not TcbStatus.OUT_OF_DATE)
    assert found.advisories == (() if wanted.status is not TcbStatus.OUT_OF_DATE else ("INTEL-SA-09999",))


def test_revoked_running_module_is_revoked() -> None:
    info = INTEL.tcb_info()
    info["tdxModuleIdentities"][0]["tcbLevels"][1]["tcbStatus"] = "Revoked"
    assert evaluated(svn=GOOD, svn2=OLD, info=info).status is TcbStatus.REVOKED


def test_running_tcb_below_every_level_has_no_status() -> None:
    info = INTEL.tcb_info()
    for level in info["tcbLevels"]:
        level["tcb"]["tdxtcbcomponents"][2]["svn"] = 3
    found = evaluated(svn=GOOD, svn2=bytes([5, 1, 2, *[0] * 13]), info=info)
    assert found.reason == "what runs now: no TCB level is as low as the platform's TDX components"


def test_outdated_latest_module_gives_no_relaunch_advice() -> None:
    info, identity = with_statuses("UpToDate", "OutOfDate")
    assert evaluated(svn=OLD, svn2=GOOD, info=info, identity=identity).status is TcbStatus.OUT_OF_DATE


@pytest.mark.parametrize(
    ("platform", "enclave", "wanted"),
    [
        ("OutOfDate", "UpToDate", "OutOfDate"),
        ("OutOfDateConfigurationNeeded", "UpToDate", "OutOfDateConfigurationNeeded"),
        ("Revoked", "UpToDate", "Revoked"),
        ("UpToDate", "OutOfDate", "OutOfDate"),
        ("UpToDate", "Revoked", "Revoked"),
    ],
)
def test_relaunch_advice_needs_everything_else_up_to_date(platform: str, enclave: str, wanted: str) -> None:
    info, identity = with_statuses(platform, enclave=enclave)
    assert evaluated(svn=OLD, svn2=GOOD, info=info, identity=identity).status == wanted


def test_td_launched_under_the_latest_module_needs_no_relaunch() -> None:
    assert evaluated(svn=GOOD, svn2=GOOD).status is TcbStatus.UP_TO_DATE
    info, identity = with_statuses("UpToDate", "Revoked")
    assert evaluated(svn=GOOD, svn2=GOOD, info=info, identity=identity).status is TcbStatus.REVOKED


def test_current_launch_module_gives_no_relaunch_advice() -> None:
    assert evaluated(svn=bytes([5, 1, 2, *[0] * 13]), svn2=GOOD).status is TcbStatus.OUT_OF_DATE


def test_module_uses_the_levels_of_its_own_version_only() -> None:
    info = INTEL.tcb_info()
    (module,) = info["tdxModuleIdentities"]
    later = {**module, "id": "TDX_03", "tcbLevels": [{**module["tcbLevels"][0], "tcb": {"isvsvn": 9}}]}
    info["tdxModuleIdentities"] = [later, module]
    assert evaluated(info=info).status is TcbStatus.UP_TO_DATE
