"""A bare SEV-SNP report or TDX quote, with what came along: the vendor's layers, and the pins of the policy."""

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import Appraisal
from cloister.attestation.platforms.hardware import check_snp, check_tdx
from cloister.attestation.platforms.tdx import check_event_log
from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.raw.attachments import check_preimage, check_unsigned
from cloister.attestation.raw.kinds import RawSnp, RawTdx
from cloister.attestation.raw.tpm import RawFinding, RawTpm, check_tpm, check_untied_pcrs
from cloister.attestation.snp import pins as snp_pins
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx import pins as tdx_pins
from cloister.attestation.tdx.quote import TdxQuote, size_of
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.structures import Attest
from cloister.attestation.x509.roots import AMD, INTEL, named_root


def judge_snp(appraisal: Appraisal, policy: EvidencePolicy, raw: RawSnp, report_data: bytes | None) -> RawFinding:
    """A SEV-SNP report and what came with it. ``report_data`` is what the caller named. Raises MalformedEvidence."""
    report = SnpReport.parse(raw.report)
    identity = judge_report(appraisal, policy, report, raw.certificates, report_data)
    check_unsigned(appraisal.checks, raw.unsigned)
    more, not_shown = _check_attached(appraisal, policy, raw, report.report_data, report_data)
    root = named_root(appraisal.anchors(AMD), AMD)
    return RawFinding(root, identity | more, (*_image_of_snp(policy), *not_shown))


def judge_tdx(appraisal: Appraisal, policy: EvidencePolicy, raw: RawTdx, report_data: bytes | None) -> RawFinding:
    """The same for a TDX quote."""
    size = size_of(raw.quote)
    quote = TdxQuote.parse(raw.quote)
    identity = judge_quote(appraisal, policy, quote, report_data)
    if raw.ccel is not None:
        check_event_log(appraisal.checks, Ccel.parse(raw.ccel), quote.report)
    check_unsigned(appraisal.checks, raw.unsigned + len(raw.quote) - size)
    more, not_shown = _check_attached(appraisal, policy, raw, quote.report.report_data, report_data)
    root = named_root(appraisal.anchors(INTEL), INTEL)
    return RawFinding(root, identity | more, (*_image_of_tdx(policy), *not_shown))


def judge_report(
    appraisal: Appraisal, policy: EvidencePolicy, report: SnpReport, table: bytes | None, report_data: bytes | None
) -> dict[str, str]:
    """A report under the policy's section ``snp`` and its pins. Returns its claims."""
    if policy.snp is None:  # EvidencePolicy demands the section where it accepts the platform
        raise without("snp")
    pins = policy.snp_pins
    identity = check_snp(appraisal, report, table, policy.snp, report_data, pins.vmpl)
    snp_pins.check_pins(appraisal.checks, report, pins)
    return identity


def judge_quote(
    appraisal: Appraisal,
    policy: EvidencePolicy,
    quote: TdxQuote,
    report_data: bytes | None,
    *,
    paravisor: bool = False,
) -> dict[str, str]:
    """A quote under the policy's section ``tdx`` and its pins. Returns its claims."""
    section = policy.tdx
    if section is None:
        raise without("tdx")
    identity = check_tdx(appraisal, quote, section.for_paravisor() if paravisor else section, report_data)
    tdx_pins.check_pins(appraisal.checks, quote.report, bytes.fromhex(identity["fmspc"]), policy.tdx_pins)
    return identity


def _check_attached(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawSnp | RawTdx, report_data: bytes, asked: bytes | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What came with a report or quote over ``report_data``. ``asked`` is what the caller named.

    Nothing ties a TPM's key to the processor here, so a register that the policy pins fails.
    """
    checks = appraisal.checks
    identity = check_preimage(checks, raw.preimage, report_data) if raw.preimage is not None else {}
    if raw.tpm is None:
        return identity, ()
    found = check_tpm(appraisal, raw.tpm, _qualifying(raw.tpm, asked) if asked is not None else None)
    check_untied_pcrs(checks, raw.tpm.quote.pcrs, policy.pcrs)
    bound = "that the TPM is this machine's: nothing that is signed here ties its key to the processor"
    return identity | {f"tpm_{name}": value for name, value in found.identity.items()}, (*found.not_judged, bound)


def _qualifying(raw: RawTpm, asked: bytes) -> bytes:
    """What an attached quote must be over: ``asked``, or what gave it when zeros were added to have 64 bytes."""
    data = Attest.parse(raw.quote.attest).extra_data
    return data if data and data.ljust(len(asked), b"\0") == asked else asked


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


def without(section: str) -> PolicyError:
    """The error for a section that ``EvidencePolicy`` demands where it accepts the platform."""
    return PolicyError(f"The policy accepts the platform and has no section {section}.")
