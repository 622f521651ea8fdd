"""The TCB status of a platform, by Intel's definition and published data.

Source: Intel Provisioning Certification Service API version 4, "Get TDX TCB Info" (how a TCB status is found from TCB
info, TDX module identities and TEE TCB SVNs), "Get TDX QE Identity"; Intel DCAP Quote Verification Library,
"TDX quote verification" (how the statuses of platform, module and quoting enclave become one, and when a relaunch of
the TD is advised). It is stricter in two ways: a quoting enclave that needs configuration counts as such, and what runs
now (TEE_TCB_SVN2) must be as good as what the TD was launched under, which Intel only uses for the relaunch advice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cloister.attestation.tdx.certificates import Pck
from cloister.attestation.tdx.quote import TdReport
from cloister.attestation.tdx.tcb_info import (
    ModuleIdentity,
    PlatformLevel,
    QeIdentity,
    SvnLevel,
    TcbInfo,
    TcbLevel,
    TcbStatus,
)

# TEE_TCB_SVN: byte 0 is the TDX module's SVN, byte 1 its version, byte 2 the late-loaded microcode.
_MODULE_SVN, _MODULE_VERSION, _MICROCODE = 0, 1, 2

_OUT_OF_DATE = {TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED}
_CONFIGURATION = {
    TcbStatus.CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}
_HARDENING = {TcbStatus.SW_HARDENING_NEEDED, TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED}

# Out of date, needs configuration -> the status without and with software hardening.
_TOGETHER = {
    (False, False): (TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED),
    (False, True): (TcbStatus.CONFIGURATION_NEEDED, TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED),
    (True, False): (TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE),
    (True, True): (TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED),
}
_RELAUNCH = {
    TcbStatus.OUT_OF_DATE: TcbStatus.TD_RELAUNCH_ADVISED,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
}

_CURRENT = {
    TcbStatus.OUT_OF_DATE: TcbStatus.UP_TO_DATE,
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: TcbStatus.CONFIGURATION_NEEDED,
}


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    status: the platform's status; None if Intel publishes none for it.
    reason: why there is no status; empty otherwise.
    date: the oldest date of all levels that were used; None without a status.
    advisories: all open advisories of these levels.
    out_of_date_since: the oldest date of an out-of-date level: advisories published before it are addressed. None if no
        level is out of date.
    status_without_update: the status apart from being out of date; None if no level is out of date.
    advisories_without_update: the advisories of levels that are not out of date; empty if no level is out of date.
    """

    status: TcbStatus | None
    reason: str = ""
    date: datetime | None = None
    advisories: tuple[str, ...] = ()
    out_of_date_since: datetime | None = None
    status_without_update: TcbStatus | None = None
    advisories_without_update: tuple[str, ...] = ()


def evaluate(report: TdReport, pck: Pck, info: TcbInfo, identity: QeIdentity, qe_svn: int) -> Evaluation:
    """The platform's status. ``info`` is for the PCK's FMSPC, ``qe_svn`` is the ISV SVN of the quoting enclave."""
    at_least = [level for level in info.levels if _reaches(pck, level)]
    if not at_least:
        return Evaluation(None, "no TCB level is as low as the platform's SGX components and PCESVN")
    launched, why = _levels(report.tee_tcb_svn, at_least, info)
    if why:
        return Evaluation(None, why)
    enclave = _svn_level(identity.levels, qe_svn)
    if enclave is None:
        return Evaluation(None, f"no level of the quoting enclave is as low as SVN {qe_svn}")
    levels = [*launched, enclave]
    status = converge(*(level.status for level in levels))
    if report.tee_tcb_svn2 is not None:
        running, why = _levels(report.tee_tcb_svn2, at_least, info)
        if why:
            return Evaluation(None, f"what runs now: {why}")
        now = converge(*(level.status for level in running), enclave.status)
        if _was_updated(launched, at_least[0], enclave, now) and _is_latest(report.tee_tcb_svn2, info):
            # Configuration that the level of the SGX components needs counts, although the platform has a lower level.
            status = _RELAUNCH.get(converge(status, at_least[0].status), status)
        else:
            levels += running
            status = converge(status, now)
    found = Evaluation(status, date=min(level.date for level in levels), advisories=_advisories(levels))
    old = [level for level in levels if level.status in _OUT_OF_DATE]
    if not old or status not in _CURRENT:
        return found
    # What the newest level needs besides an update, an old one needs too, although it does not say so itself.
    tables = (info.levels, identity.levels, *(module.levels for module in info.modules))
    levels += [table[0] for table in tables if any(one is level for one in table for level in old)]
    return replace(
        found,
        out_of_date_since=min(level.date for level in old),
        status_without_update=converge(*(_CURRENT.get(level.status, level.status) for level in levels)),
        advisories_without_update=_advisories(level for level in levels if level.status not in _OUT_OF_DATE),
    )


def _advisories(levels: Iterable[TcbLevel]) -> tuple[str, ...]:
    return tuple(sorted({name for level in levels for name in level.advisories}))


def _levels(tee_tcb_svn: bytes, at_least: Sequence[PlatformLevel], info: TcbInfo) -> tuple[tuple[TcbLevel, ...], str]:
    """The levels of platform and TDX module for this TEE_TCB_SVN, or none and why not.

    ``at_least`` are the platform's levels that its SGX components and PCESVN reach. A module of version 0 has no level
    of its own: it is covered by the TDX components.
    """
    platform = next((level for level in at_least if _tdx_reaches(tee_tcb_svn, level)), None)
    if platform is None:
        return (), "no TCB level is as low as the platform's TDX components"
    if not tee_tcb_svn[_MODULE_VERSION]:
        return (platform,), ""
    module = find_module(info, tee_tcb_svn)
    if module is None:
        return (), f"no TDX module of version {tee_tcb_svn[_MODULE_VERSION]} is known"
    level = _svn_level(module.levels, tee_tcb_svn[_MODULE_SVN])
    if level is None:
        return (), f"no level of the TDX module is as low as SVN {tee_tcb_svn[_MODULE_SVN]}"
    return (platform, level), ""


def find_module(info: TcbInfo, tee_tcb_svn: bytes) -> ModuleIdentity | None:
    """Intel's identity of the TDX module with this TEE_TCB_SVN, or None."""
    version = tee_tcb_svn[_MODULE_VERSION]
    return next((module for module in info.modules if module.version == version), None)


def converge(*statuses: TcbStatus) -> TcbStatus:
    """The one status of platform, TDX module and quoting enclave."""
    found = set(statuses)
    if TcbStatus.REVOKED in found:
        return TcbStatus.REVOKED
    plain, hardening = _TOGETHER[bool(found & _OUT_OF_DATE), bool(found & _CONFIGURATION)]
    return hardening if found & _HARDENING else plain


def _reaches(pck: Pck, level: PlatformLevel) -> bool:
    return pck.pce_svn >= level.pce_svn and _all_at_least(pck.components, level.sgx)


def _tdx_reaches(tee_tcb_svn: bytes, level: PlatformLevel) -> bool:
    """Modules of version 1 and later have their own levels, so their SVN and version are not compared here."""
    start = _MICROCODE if tee_tcb_svn[_MODULE_VERSION] else 0
    return _all_at_least(tee_tcb_svn[start:], level.tdx[start:])


def _all_at_least(found: Sequence[int], wanted: Sequence[int]) -> bool:
    return all(one >= least for one, least in zip(found, wanted, strict=True))


def _svn_level(levels: Sequence[SvnLevel], svn: int) -> SvnLevel | None:
    return next((level for level in levels if svn >= level.isv_svn), None)


def _was_updated(launched: Sequence[TcbLevel], sgx: TcbLevel, enclave: TcbLevel, now: TcbStatus) -> bool:
    """Whether only the TDX module at launch is out of date, and the running one is not: it was updated since."""
    old = {*_OUT_OF_DATE, TcbStatus.REVOKED}
    module = [level.status for level in launched[1:]]
    return module == [TcbStatus.OUT_OF_DATE] and not old & {sgx.status, enclave.status, now}


def _is_latest(tee_tcb_svn2: bytes, info: TcbInfo) -> bool:
    """Whether the running module, which is known, is the latest."""
    latest = info.levels[0]
    if tee_tcb_svn2[_MICROCODE] < latest.tdx[_MICROCODE]:
        return False
    if not tee_tcb_svn2[_MODULE_VERSION]:
        return tee_tcb_svn2[_MODULE_SVN] >= latest.tdx[_MODULE_SVN]
    module = find_module(info, tee_tcb_svn2)
    return module is not None and tee_tcb_svn2[_MODULE_SVN] >= module.levels[0].isv_svn
