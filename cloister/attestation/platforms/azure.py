"""The platforms ``azure-snp`` and ``azure-tdx``.

The hardware measured Microsoft's paravisor, not the image. The paravisor runs the vTPM, whose key it puts into runtime
claims that the hardware report binds; the image is then identified by that vTPM's registers. Everything therefore
depends on which paravisor runs: another paravisor could forge every register. A verdict names the paravisor as the
identity root.

The report in NV 0x01400001 is as old as the boot until the guest writes to NV 0x01400002. The fresh one repeats what
was written as user data: it must be the report data of this evidence.
"""

from cloister.attestation.azure.hcl import TYPE_SNP, TYPE_TDX, HclReport
from cloister.attestation.azure.policy import check_machine, check_snp_paravisor, check_tdx_paravisor
from cloister.attestation.azure.verify import check_key, check_type
from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import EvidenceAppraisal, PlatformResult, check_parts
from cloister.attestation.platforms.hardware import check_snp, check_tdx
from cloister.attestation.platforms.vtpm import (
    VtpmEvidence,
    check_attributes,
    check_event_log,
    check_quote,
    check_registers,
)
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.x509.certificate import find_path, issuers_among
from cloister.attestation.x509.roots import AMD, AZURE_VTPM, INTEL, MICROSOFT_PARAVISOR, named_root

_SNP_PARTS = ("tpm_quote", "boot_event_log", "hcl_report")
_TDX_PARTS = ("tpm_quote", "boot_event_log", "tdx_quote", "hcl_report")
_OPTIONAL = ("ak_certificates", "snp_certificates")


def appraise_snp(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of ``azure-snp``. Raises MalformedEvidence."""
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    if policy.snp is None or policy.azure is None or policy.azure.snp is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform azure-snp and lacks its sections.")
    complete = check_parts(checks, evidence, _SNP_PARTS, _OPTIONAL)
    root = named_root(appraisal.anchors(AMD), MICROSOFT_PARAVISOR)
    if not complete or evidence.hcl_report is None:
        return PlatformResult(root)
    report = HclReport.parse(evidence.hcl_report)
    if not check_type(checks, report, TYPE_SNP):
        return PlatformResult(root)
    hardware = SnpReport.parse(report.hardware_report)
    claims = check_snp(appraisal, hardware, evidence.snp_certificates, policy.snp, report.report_data())
    check_snp_paravisor(checks, hardware.id_key_digest, hardware.guest_svn, policy.azure.snp)
    return _appraise_vtpm(appraisal, report, root, claims)


def appraise_tdx(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of ``azure-tdx``. Raises MalformedEvidence."""
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    if policy.tdx is None or policy.azure is None or policy.azure.tdx is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform azure-tdx and lacks its sections.")
    complete = check_parts(checks, evidence, _TDX_PARTS, _OPTIONAL[:1])
    root = named_root(appraisal.anchors(INTEL), MICROSOFT_PARAVISOR)
    if not complete or evidence.hcl_report is None or evidence.tdx_quote is None:
        return PlatformResult(root)
    report = HclReport.parse(evidence.hcl_report)
    if not check_type(checks, report, TYPE_TDX):
        return PlatformResult(root)
    quote = TdxQuote.parse(evidence.tdx_quote)
    claims = check_tdx(appraisal, quote, policy.tdx.for_paravisor(), report.report_data())
    measured = quote.report
    check_tdx_paravisor(checks, measured.mr_td, measured.mr_seam, measured.rtmrs, policy.azure.tdx)
    return _appraise_vtpm(appraisal, report, root, claims)


def _appraise_vtpm(
    appraisal: EvidenceAppraisal, report: HclReport, root: str, identity: dict[str, str]
) -> PlatformResult:
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    parts = VtpmEvidence.parse(evidence, certified=False)
    if parts is None:  # the parts have been checked
        raise PolicyError("The evidence of the vTPM is not complete.")
    checks.equal("azure-user-data", evidence.report_data(), report.claims.user_data)
    check_key(checks, report, parts.fingerprint())
    identity |= _check_certificate(appraisal, parts)
    check_machine(checks, report.claims.vm_unique_id, policy.instances.azure_vm_ids if policy.instances else ())
    check_attributes(checks, parts)
    check_quote(checks, parts, evidence.report_data())
    check_event_log(checks, parts)
    image = check_registers(checks, parts.pcrs, policy, evidence.runtime_log)
    identity |= {
        "ak": parts.fingerprint().hex(),
        "azure_vm_id": report.claims.vm_unique_id,
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    for name, setting in report.claims.configuration.items():
        identity[f"paravisor.{name}"] = str(setting).lower()
    return PlatformResult(root, image, identity, parts.pcrs)


def _check_certificate(appraisal: EvidenceAppraisal, parts: VtpmEvidence) -> dict[str, str]:
    """Azure's certificate of the key adds nothing to the hardware report, but must not contradict it."""
    if not parts.certificates:
        appraisal.checks.not_applicable(
            "azure-ak-certificate", "there is no certificate; the hardware report vouches for the key"
        )
        return {}
    leaf = parts.certificates[0]
    appraisal.checks.equal("azure-ak-certificate", parts.fingerprint(), leaf.fingerprint())
    pool = (*parts.certificates[1:], *issuers_among(leaf, appraisal.collateral.certificates()))
    found = any(find_path(leaf, pool, anchor.spki_sha256)[0] for anchor in appraisal.anchors(AZURE_VTPM))
    return {"ak_certificate": "leads to Microsoft's root" if found else "does not lead to Microsoft's root"}
