"""A report of Azure's paravisor, with what came along: the hardware vouches for the claims, they for the vTPM's key."""

from cloister.attestation.azure.hcl import TYPE_SNP, HclReport
from cloister.attestation.azure.policy import check_machine, check_snp_paravisor, check_tdx_paravisor
from cloister.attestation.azure.verify import claimed_key
from cloister.attestation.platforms.appraisal import Appraisal
from cloister.attestation.platforms.vtpm import check_signed_quote
from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.raw.attachments import check_unsigned
from cloister.attestation.raw.hardware import judge_quote, judge_report, without
from cloister.attestation.raw.kinds import RawHcl
from cloister.attestation.raw.tpm import RawFinding, check_log, check_pcrs, check_without_quote, registers
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx.quote import TdxQuote, size_of
from cloister.attestation.tpm.rsa import RsaSignature
from cloister.attestation.x509.roots import AMD, INTEL, MICROSOFT_PARAVISOR, named_root


def judge_hcl(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawHcl, report: HclReport, report_data: bytes | None
) -> RawFinding:
    """A paravisor's report, and its vTPM's quote over ``report_data``. Raises MalformedEvidence."""
    vendor = AMD if report.report_type == TYPE_SNP else INTEL
    root = named_root(appraisal.anchors(vendor), MICROSOFT_PARAVISOR)
    identity = _check_hcl(appraisal, policy, raw, report, report_data)
    return RawFinding(root, identity, _not_shown(policy, raw))


def _check_hcl(
    appraisal: Appraisal, policy: EvidencePolicy, raw: RawHcl, report: HclReport, report_data: bytes | None
) -> dict[str, str]:
    """The hardware vouches for the runtime claims, they name the vTPM's key, and that key signed the quote."""
    section, unsigned = policy.azure, raw.unsigned
    if report.report_type == TYPE_SNP:
        if section is None or section.snp is None:
            raise without("azure.snp")
        hardware = SnpReport.parse(report.hardware_report)
        identity = judge_report(appraisal, policy, hardware, None, report.report_data())
        check_snp_paravisor(appraisal.checks, hardware.id_key_digest, hardware.guest_svn, section.snp)
    else:
        if section is None or section.tdx is None or raw.tdx_quote is None:
            raise without("azure.tdx")
        quote = TdxQuote.parse(raw.tdx_quote)
        identity = judge_quote(appraisal, policy, quote, report.report_data(), paravisor=True)
        unsigned += len(raw.tdx_quote) - size_of(raw.tdx_quote)
        measured = quote.report
        check_tdx_paravisor(appraisal.checks, measured.mr_td, measured.mr_seam, measured.rtmrs, section.tdx)
    checks, claims = appraisal.checks, report.claims
    check_unsigned(checks, unsigned)
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


def _not_shown(policy: EvidencePolicy, raw: RawHcl) -> tuple[str, ...]:
    fresh = "whether the paravisor's report is fresh: what the guest wrote as user data is only shown"
    if raw.quote is None:
        return (
            "anything that the vTPM measured: no quote of it came, so no register is shown",
            "that the vTPM holds the key in the claims: it signed nothing here",
            fresh,
        )
    public = "that the vTPM's key signs only what its vTPM made: the key's public area did not come"
    return (*_image(policy), fresh, public)


def _image(policy: EvidencePolicy) -> tuple[str, ...]:
    if policy.pcrs:
        named = ", ".join(map(str, sorted(policy.pcrs)))
        return (f"what the policy pins no register for: it pins PCR {named}",)
    return ("the image that was booted: the registers are authentic, but the policy pins none",)
