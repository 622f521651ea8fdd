"""Bare hardware evidence, as a machine's firmware returned it: the vendor's layers, and the pins of the policy.

A SEV-SNP report, a TDX quote, a report of Azure's paravisor, a TPM's quote, or a log. Nothing in it says which session,
boot configuration, manifest or agent it belongs to. Its policy and its verdict are therefore of other types,
which open no session; the verdict lists what was not judged.
"""

from collections.abc import Mapping
from datetime import datetime

from cloister.attestation.azure.hcl import TYPE_SNP, HclReport
from cloister.attestation.checks import VOUCHED_BY
from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral.unsigned import skip_unsigned
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.diagnosis.explain import explained
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.platforms.appraisal import Appraisal, in_utc
from cloister.attestation.policy.document import not_for_evidence
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.attachments import PREIMAGE, UNSIGNED
from cloister.attestation.raw.checks import RAW_CHECKS, RAW_SNP_NAMES, RAW_TDX_NAMES
from cloister.attestation.raw.hardware import judge_snp, judge_tdx
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx, judged_of, logs_of
from cloister.attestation.raw.log import RawLog, replayed
from cloister.attestation.raw.paravisor import judge_hcl
from cloister.attestation.raw.tpm import QUOTE_NAMES, TPM_NAMES, RawFinding, RawTpm, check_pcrs, check_tpm
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.result.checkinfo import LOG_ALONE
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.x509.roots import NO_ROOT, VENDORS, Anchor

_NOT_SHOWN_OF_LOG = ("whose log it is, and whether it is complete: no one signs a log",)
_LOG_UNSIGNED = "no quote came with the log, and no one signs a log"
_FOR_WHOM = "for whom it was made: a session or a receipt, its nonce and its keys"
_FOR_WHOM_BESIDES = "for whom it was made, besides the data that you named: a session or a receipt, and its keys"
_BINDINGS = {RawPlatform.SEV_SNP: "snp-report-data", RawPlatform.TDX: "tdx-report-data"}
_MACHINE = "the boot configuration, the agent and the manifest of the machine"


def verify_raw(
    raw: Raw,
    policy: EvidencePolicy,
    *,
    report_data: bytes | None,
    at: datetime,
    collateral: Collateral | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
    cache: VerificationCache | None = None,
) -> RawVerdict:
    """Appraises ``raw`` under a policy for raw evidence as of ``at``, a time with a time zone.

    ``report_data`` is what the caller had the evidence made over: the 64 bytes of a report or quote, or a vTPM quote's
    qualifying data; None skips that check. ``collateral`` is what the caller brings, ``roots`` are the vendors'
    anchors. ``cache`` keeps parsed collateral for other calls: the verdict is the same without it.

    Raises MalformedEvidence for bytes that cannot be parsed, CollateralError for a revocation list, TCB info or QE
    identity of the caller's that cannot be parsed, and PolicyError for a policy for sessions or if ``at`` has no time
    zone.
    """
    if not isinstance(policy, EvidencePolicy):  # a type checker would say so; a caller without one must not get further
        raise not_for_evidence()
    at = in_utc(at)
    hcl_report = HclReport.parse(raw.report, recorded=True) if isinstance(raw, RawHcl) else None
    platform, names = _platform_and_checks(raw, hcl_report)
    with_tpm = isinstance(raw, RawSnp | RawTdx) and raw.tpm is not None
    own = [pin for pin in policy.pins if platform in pin.platforms or (with_tpm and RawPlatform.TPM in pin.platforms)]
    names = (*names, *(pin.check for pin in own if pin.check not in names))
    elsewhere = {pin.check: pin for pin in policy.pins if pin.check not in names}
    usable = UsableCollateral((), collateral, cache)
    checks = Recorder(("platform", *names, *elsewhere), RAW_CHECKS)
    appraisal = Appraisal(checks=checks, instances=policy.instances, at=at, collateral=usable, roots=roots)
    shown, events = replayed(raw) if isinstance(raw, RawLog) else ({}, ())
    found = RawFinding(NO_ROOT, shown, _NOT_SHOWN_OF_LOG if isinstance(raw, RawLog) else ())
    accepted = checks.record("platform", platform in policy.platforms, ", ".join(policy.platforms), platform)
    if accepted:
        for name, pin in elsewhere.items():
            checks.not_applicable(name, f"{pin.member} is for {' and '.join(pin.platforms)}, and this is {platform}")
        if isinstance(raw, RawSnp):
            found = judge_snp(appraisal, policy, raw, report_data)
        elif isinstance(raw, RawTdx):
            found = judge_tdx(appraisal, policy, raw, report_data)
        elif isinstance(raw, RawTpm):
            found = check_tpm(appraisal, raw, report_data)
            check_pcrs(checks, raw.quote.pcrs, policy.pcrs)
        elif isinstance(raw, RawHcl) and hcl_report is not None:
            found = judge_hcl(appraisal, policy, raw, hcl_report, report_data)
        elif isinstance(raw, RawLog):
            _reject_log_alone(checks, policy, raw, shown)
    skip_unsigned(usable)
    verdict = RawVerdict(
        platform,
        appraisal.shown_root(found.root, VOUCHED_BY[platform]),
        at,
        policy.digest(),
        checks.finish(),
        found.identity,
        (_for_whom(checks, platform, report_data), _MACHINE, *found.not_judged),
        judged_of(raw),
        events,
        usable.skipped,
        usable.used(checks.used),
    )
    return explained(verdict, logs_of(raw))


def _platform_and_checks(raw: Raw, report: HclReport | None) -> tuple[RawPlatform, tuple[str, ...]]:
    """The platform that such evidence comes from, and the names of its checks. Raises MalformedEvidence."""
    if isinstance(raw, RawSnp | RawTdx):
        platform, own = (
            (RawPlatform.SEV_SNP, RAW_SNP_NAMES) if isinstance(raw, RawSnp) else (RawPlatform.TDX, RAW_TDX_NAMES)
        )
        log = ("tdx-event-log",) if isinstance(raw, RawTdx) and raw.ccel is not None else ()
        preimage = (PREIMAGE,) if raw.preimage is not None else ()
        return platform, (*own, UNSIGNED, *log, *preimage, *(TPM_NAMES if raw.tpm is not None else ()))
    if isinstance(raw, RawTpm):
        return RawPlatform.TPM, TPM_NAMES
    if isinstance(raw, RawLog):
        return (RawPlatform.TDX, ("tdx-event-log",)) if raw.is_ccel else (RawPlatform.TPM, ("boot-event-log",))
    quote = (*QUOTE_NAMES, "boot-event-log")
    if report is not None and report.report_type == TYPE_SNP:
        own = ("azure-id-key", "azure-guest-svn", "azure-machine")
        return RawPlatform.AZURE_SNP, (*RAW_SNP_NAMES, UNSIGNED, *own, *quote)
    if raw.tdx_quote is None:
        raise MalformedEvidence("HCL report", 0, "is of a TDX machine and needs its TDX quote")
    own = ("azure-mrtd", "azure-mrseam", "azure-rtmrs", "azure-machine")
    return RawPlatform.AZURE_TDX, (*RAW_TDX_NAMES, UNSIGNED, *own, *quote)


def _for_whom(checks: Recorder, platform: RawPlatform, report_data: bytes | None) -> str:
    """What is not known of the purpose: less if the data that the caller named were compared."""
    binding = _BINDINGS.get(platform, "quote-binding")
    return _FOR_WHOM_BESIDES if report_data is not None and checks.all_passed((binding,)) else _FOR_WHOM


def _reject_log_alone(checks: Recorder, policy: EvidencePolicy, raw: RawLog, shown: Mapping[str, str]) -> None:
    """A log alone shows nothing: each register that the policy pins fails, too, with the replayed value."""
    wanted = "a quote over the registers that the log leads to"
    checks.fail("tdx-event-log" if raw.is_ccel else "boot-event-log", wanted, _LOG_UNSIGNED, LOG_ALONE)
    for pin in policy.pins:
        register = pin.check.replace("tdx-rtmr-", "rtmr").replace("pcr-", "pcr")
        if register in shown:
            checks.record(pin.check, False, f"a signed value of {pin.member}", f"{shown[register]}, signed by no one")
