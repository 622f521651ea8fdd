"""Bare hardware evidence, as a machine's firmware returned it: the vendor's layers, and the pins of the policy.

A SEV-SNP report, a TDX quote, a report of Azure's paravisor, a TPM's quote, or a log. Nothing in it says which session,
boot configuration, manifest or agent it belongs to. Its policy and its verdict are therefore of other types,
which open no session; the verdict lists what was not judged.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from cloister.attestation.azure.hcl import TYPE_SNP, HclReport
from cloister.attestation.azure.policy import check_machine, check_snp_paravisor, check_tdx_paravisor
from cloister.attestation.azure.verify import claimed_key
from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral.unsigned import skip_unsigned
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.diagnosis.explain import explained
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.platforms.appraisal import Appraisal, in_utc
from cloister.attestation.platforms.hardware import check_snp, check_tdx
from cloister.attestation.platforms.tdx import check_event_log
from cloister.attestation.platforms.vtpm import check_signed_quote
from cloister.attestation.policy.document import not_for_evidence
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.attachments import PREIMAGE, UNSIGNED, check_preimage, check_unsigned
from cloister.attestation.raw.checks import RAW_CHECKS, RAW_SNP_NAMES, RAW_TDX_NAMES
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx, judged_of, logs_of
from cloister.attestation.raw.log import RawLog, replayed
from cloister.attestation.raw.tpm import (
    QUOTE_NAMES,
    TPM_NAMES,
    RawTpm,
    check_log,
    check_pcrs,
    check_tpm,
    check_without_quote,
    registers,
)
from cloister.attestation.raw.verdict import NO_ROOT, RawVerdict
from cloister.attestation.result.checkinfo import LOG_ALONE
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.snp import pins as snp_pins
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx import pins as tdx_pins
from cloister.attestation.tdx.quote import TdxQuote, size_of
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.rsa import RsaSignature
from cloister.attestation.x509.roots import AMD, INTEL, MICROSOFT_PARAVISOR, VENDORS, Anchor, named_root

_NOT_SHOWN_OF_LOG = ("whose log it is, and whether it is complete: no one signs a log",)
_LOG_UNSIGNED = "no quote came with the log, and no one signs a log"
_NEVER_JUDGED = (
    "for whom it was made: a session or a receipt, its nonce and its keys",
    "the boot configuration, the agent and the manifest of the machine",
)


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
    root, identity, not_shown = NO_ROOT, shown, _NOT_SHOWN_OF_LOG if isinstance(raw, RawLog) else ()
    accepted = checks.record("platform", platform in policy.platforms, ", ".join(policy.platforms), platform)
    if accepted:
        for name, pin in elsewhere.items():
            checks.not_applicable(name, f"{pin.member} is for {' and '.join(pin.platforms)}, and this is {platform}")
        if isinstance(raw, RawSnp):
            root, identity, not_shown = _judge_snp(appraisal, policy, raw, report_data)
        elif isinstance(raw, RawTdx):
            root, identity, not_shown = _judge_tdx(appraisal, policy, raw, report_data)
        elif isinstance(raw, RawTpm):
            found = check_tpm(appraisal, raw, report_data)
            check_pcrs(checks, raw.quote.pcrs, policy.pcrs)
            root, identity, not_shown = found.root, dict(found.identity), found.not_judged
        elif isinstance(raw, RawHcl) and hcl_report is not None:
            vendor = AMD if hcl_report.report_type == TYPE_SNP else INTEL
            root = named_root(appraisal.anchors(vendor), MICROSOFT_PARAVISOR)
            identity = _check_hcl(appraisal, policy, raw, hcl_report, report_data)
            not_shown = _not_shown_of_hcl(policy, raw)
        elif isinstance(raw, RawLog):
            _check_log(checks, policy, raw, shown)
    skip_unsigned(usable)
    verdict = RawVerdict(
        platform,
        root,
        at,
        policy.digest(),
        checks.finish(),
        identity,
        (*_NEVER_JUDGED, *not_shown),
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
        return RawPlatform.AZURE_SNP, (*RAW_SNP_NAMES, *own, *quote)
    if raw.tdx_quote is None:
        raise MalformedEvidence("HCL report", 0, "is of a TDX machine and needs its TDX quote")
    own = ("azure-mrtd", "azure-mrseam", "azure-rtmrs", "azure-machine")
    return RawPlatform.AZURE_TDX, (*RAW_TDX_NAMES, UNSIGNED, *own, *quote)


def _judge_snp(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawSnp, report_data: bytes | None
) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """A SEV-SNP report and what came with it: the identity root, the claims, and what is not judged."""
    report = SnpReport.parse(raw.report)
    identity = _check_snp(appraisal, policy, report, raw.certificates, report_data)
    more, not_shown = _check_attached(appraisal, policy, raw, report.report_data)
    root = named_root(appraisal.anchors(AMD), AMD)
    return root, identity | more, (*_image_of_snp(policy), *not_shown)


def _judge_tdx(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawTdx, report_data: bytes | None
) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """The same for a TDX quote."""
    size = size_of(raw.quote)
    quote = TdxQuote.parse(raw.quote)
    identity = _check_tdx(appraisal, policy, quote, report_data)
    if raw.ccel is not None:
        check_event_log(appraisal.checks, Ccel.parse(raw.ccel), quote.report)
    attached = replace(raw, unsigned=raw.unsigned + len(raw.quote) - size)
    more, not_shown = _check_attached(appraisal, policy, attached, quote.report.report_data)
    root = named_root(appraisal.anchors(INTEL), INTEL)
    return root, identity | more, (*_image_of_tdx(policy), *not_shown)


def _check_attached(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawSnp | RawTdx, report_data: bytes
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What came with a report or quote over ``report_data``."""
    checks = appraisal.checks
    check_unsigned(checks, raw.unsigned)
    identity = check_preimage(checks, raw.preimage, report_data) if raw.preimage is not None else {}
    if raw.tpm is None:
        return identity, ()
    found = check_tpm(appraisal, raw.tpm, None)
    check_pcrs(checks, raw.tpm.quote.pcrs, policy.pcrs)
    bound = "that the TPM is this machine's: nothing that is signed here ties its key to the processor"
    return identity | {f"tpm_{name}": value for name, value in found.identity.items()}, (*found.not_judged, bound)


def _check_log(checks: Recorder, policy: EvidencePolicy, raw: RawLog, shown: Mapping[str, str]) -> None:
    """A log alone shows nothing: each register that the policy pins fails, too, with the replayed value."""
    wanted = "a quote over the registers that the log leads to"
    checks.fail("tdx-event-log" if raw.is_ccel else "boot-event-log", wanted, _LOG_UNSIGNED, LOG_ALONE)
    for pin in policy.pins:
        register = pin.check.replace("tdx-rtmr-", "rtmr").replace("pcr-", "pcr")
        if register in shown:
            checks.record(pin.check, False, f"a signed value of {pin.member}", f"{shown[register]}, signed by no one")


def _not_shown_of_hcl(policy: EvidencePolicy, raw: RawHcl) -> tuple[str, ...]:
    fresh = "whether the paravisor's report is fresh: what the guest wrote as user data is only shown"
    if raw.quote is None:
        return (
            "anything that the vTPM measured: no quote of it came, so no register is shown",
            "that the vTPM holds the key in the claims: it signed nothing here",
            fresh,
        )
    public = "that the vTPM's key signs only what its vTPM made: the key's public area did not come"
    return (*_image_of_tpm(policy), fresh, public)


def _check_snp(
    appraisal: Appraisal, policy: EvidencePolicy, report: SnpReport, table: bytes | None, report_data: bytes | None
) -> dict[str, str]:
    if policy.snp is None:  # EvidencePolicy demands the section where it accepts the platform
        raise _without("snp")
    pins = policy.snp_pins
    identity = check_snp(appraisal, report, table, policy.snp, report_data, pins.vmpl)
    snp_pins.check_pins(appraisal.checks, report, pins)
    return identity


def _check_tdx(
    appraisal: Appraisal,
    policy: EvidencePolicy,
    quote: TdxQuote,
    report_data: bytes | None,
    *,
    paravisor: bool = False,
) -> dict[str, str]:
    section = policy.tdx
    if section is None:
        raise _without("tdx")
    identity = check_tdx(appraisal, quote, section.for_paravisor() if paravisor else section, report_data)
    tdx_pins.check_pins(appraisal.checks, quote.report, bytes.fromhex(identity["fmspc"]), policy.tdx_pins)
    return identity


def _check_hcl(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawHcl, report: HclReport, report_data: bytes | None
) -> dict[str, str]:
    """The hardware vouches for the runtime claims, they name the vTPM's key, and that key signed the quote."""
    section = policy.azure
    if report.report_type == TYPE_SNP:
        if section is None or section.snp is None:
            raise _without("azure.snp")
        hardware = SnpReport.parse(report.hardware_report)
        identity = _check_snp(appraisal, policy, hardware, None, report.report_data())
        check_snp_paravisor(appraisal.checks, hardware.id_key_digest, hardware.guest_svn, section.snp)
    else:
        if section is None or section.tdx is None or raw.tdx_quote is None:
            raise _without("azure.tdx")
        quote = TdxQuote.parse(raw.tdx_quote)
        identity = _check_tdx(appraisal, policy, quote, report.report_data(), paravisor=True)
        check_unsigned(appraisal.checks, raw.unsigned + len(raw.tdx_quote) - size_of(raw.tdx_quote))
        measured = quote.report
        check_tdx_paravisor(appraisal.checks, measured.mr_td, measured.mr_seam, measured.rtmrs, section.tdx)
    checks, claims = appraisal.checks, report.claims
    pcrs = raw.quote.pcrs if raw.quote is not None else {}
    if raw.quote is None:
        check_without_quote(checks, report_data)
    else:
        signature = RsaSignature.parse(raw.quote.signature)
        check_signed_quote(checks, raw.quote.attest, signature, claimed_key(report), pcrs, report_data)
    check_log(checks, raw.event_log, pcrs)
    check_machine(checks, claims.vm_unique_id, policy.instances.azure_vm_ids)
    check_pcrs(checks, pcrs, policy.pcrs)
    return {**identity, "azure_vm_id": claims.vm_unique_id, "user_data": claims.user_data.hex(), **registers(pcrs)}


def _image_of_snp(policy: EvidencePolicy) -> tuple[str, ...]:
    unpinned = "the image that was launched: the policy pins no launch digest, so it is only shown"
    acpi = "what the host's ACPI tables do, which the kernel runs: SEV-SNP does not measure them"
    return (acpi,) if policy.snp_pins.launch_digests else (unpinned, acpi)


def _image_of_tdx(policy: EvidencePolicy) -> tuple[str, ...]:
    pins = policy.tdx_pins
    pinned = {"MRTD": bool(pins.mrtds), **{f"RTMR {index}": index in pins.rtmrs for index in tdx_pins.RTMRS}}
    shown = [name for name, is_pinned in pinned.items() if not is_pinned]
    if not shown:
        return ()
    image = f"all of the image that was booted: the policy does not pin {', '.join(shown)}, so it is only shown"
    acpi = "what the host's ACPI tables do, which the kernel runs: they are measured into RTMR 0, which is not pinned"
    return (image,) if 0 in pins.rtmrs else (image, acpi)


def _image_of_tpm(policy: EvidencePolicy) -> tuple[str, ...]:
    if policy.pcrs:
        named = ", ".join(map(str, sorted(policy.pcrs)))
        return (f"what the policy pins no register for: it pins PCR {named}",)
    return ("the image that was booted: the registers are authentic, but the policy pins none",)


def _without(section: str) -> PolicyError:
    return PolicyError(f"The policy accepts the platform and has no section {section}.")
