"""Bare hardware evidence, as a machine's firmware returned it: the vendor's layers, and the pins of the policy.

A SEV-SNP report, a TDX quote, or a report of Azure's paravisor with a quote of its vTPM. Nothing in it says which
session, boot configuration, manifest or agent it belongs to. Its policy and its verdict are therefore of other types,
which open no session; the verdict lists what was not judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloister.attestation.azure.hcl import TYPE_SNP, HclReport
from cloister.attestation.azure.policy import check_machine, check_snp_paravisor, check_tdx_paravisor
from cloister.attestation.azure.verify import claimed_key
from cloister.attestation.cause import Cause
from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral.unsigned import skip_unsigned
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.diagnosis.explain import explained
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.platforms.appraisal import Appraisal, in_utc
from cloister.attestation.platforms.hardware import check_snp, check_tdx
from cloister.attestation.platforms.vtpm import check_signed_quote
from cloister.attestation.policy.document import not_for_evidence
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw_checks import RAW_CHECKS, RAW_SNP_NAMES, RAW_TDX_NAMES
from cloister.attestation.result import Check, CheckOutcome, Recorder, Skipped, Used
from cloister.attestation.roots import AMD, INTEL, MICROSOFT_PARAVISOR, VENDORS, Anchor, named_root
from cloister.attestation.snp import pins as snp_pins
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx import pins as tdx_pins
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tpm.rsa import RsaSignature
from cloister.protocol import canonical

_PLATFORM = "platform"
_TPM_CHECKS = ("quote-magic", "quote-type", "quote-signature", "quote-binding", "quote-selection", "quote-pcr-digest")
_NEVER_JUDGED = (
    "for whom it was made: a session or a receipt, its nonce and its keys",
    "the boot configuration, the agent and the manifest of the machine",
)


@dataclass(frozen=True)
class RawSnp:
    """A SEV-SNP report (1184 bytes), and the host's certificate table, None if it came without one."""

    report: bytes
    certificates: bytes | None = None


@dataclass(frozen=True)
class RawTdx:
    """A TDX quote of version 4 or 5."""

    quote: bytes


@dataclass(frozen=True)
class RawHcl:
    """A report of Azure's paravisor with a quote of its vTPM: TPMS_ATTEST, the RSASSA signature, the quoted values.

    ``pcrs`` are values of the SHA-256 bank by register. ``tdx_quote`` is None on SEV-SNP.
    """

    report: bytes
    attest: bytes
    signature: bytes
    pcrs: Mapping[int, bytes]
    tdx_quote: bytes | None = None


Raw = RawSnp | RawTdx | RawHcl


@dataclass(frozen=True)
class RawVerdict:
    """The result of the vendors' layers. ``genuine`` does not mean that a machine is accepted.

    platform: the platform that such evidence comes from.
    identity_root: who vouches for the machine's identity (``roots.py``).
    at, policy: the time of the appraisal, in UTC, and the SHA-256 of the policy's canonical form.
    checks: every check of the vendors' layers and every pin of the policy, in order.
    identity: names, fingerprints and versions in the evidence.
    not_judged: what no check covers, in sentences.
    skipped, used: collateral that was ignored, and that the checks relied on; may be empty.
    causes: likely causes of failed checks (``diagnosis``); they explain and decide nothing.
    """

    platform: str
    identity_root: str
    at: datetime
    policy: bytes
    checks: tuple[Check, ...]
    identity: Mapping[str, str]
    not_judged: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    used: tuple[Used, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def genuine(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """All failed checks, in order."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILED)

    def value(self) -> dict[str, Any]:
        """The JSON value, as published in docs/schemas/raw-verdict.schema.json."""
        more = {"skipped": self.skipped, "used": self.used, "diagnosis": self.causes}
        return {
            "version": 1,
            "raw": True,
            "platform": self.platform,
            "identity_root": self.identity_root,
            "at": canonical.to_time(self.at),
            "policy": self.policy.hex(),
            "genuine": self.genuine,
            "checks": [check.value() for check in self.checks],
            "identity": dict(self.identity),
            "not_judged": list(self.not_judged),
            **{name: [one.value() for one in found] for name, found in more.items() if found},
        }


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
    hcl_report = HclReport.parse(raw.report) if isinstance(raw, RawHcl) else None
    platform, names = _platform_and_checks(raw, hcl_report)
    names = (*names, *(pin.check for pin in policy.pins if platform in pin.platforms and pin.check not in names))
    elsewhere = {pin.check: pin for pin in policy.pins if platform not in pin.platforms and pin.check not in names}
    usable = UsableCollateral((), collateral, cache)
    checks = Recorder((_PLATFORM, *names, *elsewhere), RAW_CHECKS)
    appraisal = Appraisal(checks=checks, instances=policy.instances, at=at, collateral=usable, roots=roots)
    root, identity = "none", {}
    not_shown: tuple[str, ...] = ()
    if checks.record(_PLATFORM, platform in policy.platforms, ", ".join(policy.platforms), platform):
        for name, pin in elsewhere.items():
            checks.not_applicable(name, f"{pin.member} is for {' and '.join(pin.platforms)}, and this is {platform}")
        if isinstance(raw, RawSnp):
            root = named_root(appraisal.anchors(AMD), AMD)
            identity = _check_snp(appraisal, policy, SnpReport.parse(raw.report), raw.certificates, report_data)
            not_shown = _image_of_snp(policy)
        elif isinstance(raw, RawTdx):
            root = named_root(appraisal.anchors(INTEL), INTEL)
            identity = _check_tdx(appraisal, policy, TdxQuote.parse(raw.quote), report_data)
            not_shown = _image_of_tdx(policy)
        elif hcl_report is not None:
            vendor = AMD if hcl_report.report_type == TYPE_SNP else INTEL
            root = named_root(appraisal.anchors(vendor), MICROSOFT_PARAVISOR)
            identity = _check_hcl(appraisal, policy, raw, hcl_report, report_data)
            not_shown = (
                *_image_of_tpm(policy),
                "whether the paravisor's report is fresh: what the guest wrote as user data is only shown",
                "that the vTPM's key signs only what its vTPM made: the key's public area did not come",
            )
    skip_unsigned(usable)
    not_judged = (*_NEVER_JUDGED, *not_shown)
    verdict = RawVerdict(
        platform,
        root,
        at,
        policy.digest(),
        checks.finish(),
        identity,
        not_judged,
        usable.skipped,
        usable.used(checks.used),
    )
    return explained(verdict, None)


def _platform_and_checks(raw: Raw, report: HclReport | None) -> tuple[RawPlatform, tuple[str, ...]]:
    """The platform that such evidence comes from, and the names of its checks. Raises MalformedEvidence."""
    if isinstance(raw, RawSnp):
        return RawPlatform.SEV_SNP, RAW_SNP_NAMES
    if isinstance(raw, RawTdx):
        return RawPlatform.TDX, RAW_TDX_NAMES
    if report is not None and report.report_type == TYPE_SNP:
        own = ("azure-id-key", "azure-guest-svn", "azure-machine")
        return RawPlatform.AZURE_SNP, (*RAW_SNP_NAMES, *own, *_TPM_CHECKS)
    if raw.tdx_quote is None:
        raise MalformedEvidence("HCL report", 0, "is of a TDX machine and needs its TDX quote")
    own = ("azure-mrtd", "azure-mrseam", "azure-rtmrs", "azure-machine")
    return RawPlatform.AZURE_TDX, (*RAW_TDX_NAMES, *own, *_TPM_CHECKS)


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
        measured = quote.report
        check_tdx_paravisor(appraisal.checks, measured.mr_td, measured.mr_seam, measured.rtmrs, section.tdx)
    key, claims = claimed_key(report), report.claims
    signature = RsaSignature.parse(raw.signature)
    check_signed_quote(appraisal.checks, raw.attest, signature, key, raw.pcrs, report_data)
    check_machine(appraisal.checks, claims.vm_unique_id, policy.instances.azure_vm_ids)
    check_pcrs(appraisal.checks, raw.pcrs, policy)
    registers = {f"pcr{index}": value.hex() for index, value in sorted(raw.pcrs.items())}
    return {**identity, "azure_vm_id": claims.vm_unique_id, "user_data": claims.user_data.hex(), **registers}


def check_pcrs(checks: Recorder, pcrs: Mapping[int, bytes], policy: EvidencePolicy) -> None:
    """Each register that the policy pins has that value. One that did not come with the quote fails."""
    for index, wanted in sorted(policy.pcrs.items()):
        found = pcrs[index].hex() if index in pcrs else "absent from the quote"
        checks.record(f"pcr-{index}", pcrs.get(index) == wanted, wanted.hex(), found)


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
