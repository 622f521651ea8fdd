"""The platforms ``azure-snp`` and ``azure-tdx``.

The hardware measured Microsoft's paravisor, not the image. The paravisor has the vTPM, whose key it puts into runtime
claims that the hardware report binds; the image is then identified by that vTPM's registers. So all of it stands on
which paravisor runs: whoever could bring another could forge every register. A verdict names the paravisor as root.

The report in NV 0x01400001 is as old as the boot until the guest writes to NV 0x01400002. The fresh one says what was
written, as user data: it must be the report data of this evidence.
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.azure.policy import AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import CERTIFICATE
from cloister.attestation.platforms import vtpm
from cloister.attestation.platforms.appraisal import Case, Judgement
from cloister.attestation.platforms.parts import check_parts
from cloister.attestation.platforms.tdx import one_anchor
from cloister.attestation.platforms.vtpm import VtpmEvidence
from cloister.attestation.result import Recorder
from cloister.attestation.roots import AMD, AZURE_VTPM, INTEL, MICROSOFT_PARAVISOR, vouching
from cloister.attestation.snp import verify as snp
from cloister.attestation.snp.report import Report
from cloister.attestation.tdx import verify as tdx
from cloister.attestation.tdx.quote import Quote
from cloister.attestation.x509 import x509

_SNP_PARTS = ("tpm_quote", "boot_event_log", "hcl_report")
_TDX_PARTS = ("tpm_quote", "boot_event_log", "tdx_quote", "hcl_report")
_OPTIONAL = ("ak_certificates", "snp_certificates")
_EXPONENT = 65537
_TYPES = {hcl.TYPE_SNP: "SEV-SNP", hcl.TYPE_TDX: "TDX"}


def judge_snp(case: Case) -> Judgement:
    """All checks of ``azure-snp``. Raises MalformedEvidence."""
    evidence, policy = case.evidence, case.policy
    if policy.snp is None or policy.azure is None or policy.azure.snp is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform azure-snp and lacks its sections.")
    complete = check_parts(case.checks, evidence, _SNP_PARTS, _OPTIONAL)
    root = vouching(case.anchors(AMD), MICROSOFT_PARAVISOR)
    if not complete or evidence.hcl_report is None:
        return Judgement(root)
    report = HclReport.parse(evidence.hcl_report)
    if not check_type(case.checks, report, hcl.TYPE_SNP):
        return Judgement(root)
    hardware = Report.parse(report.hardware_report)
    certificates, crls = snp.collect(evidence.snp_certificates, case.items)
    claims = snp.check_report(
        case.checks,
        hardware,
        certificates,
        crls,
        policy.snp,
        report_data=report.report_data(),
        at=case.at,
        chip_ids=policy.instances.chip_ids if policy.instances else (),
        anchors=case.anchors(AMD),
    )
    check_snp_paravisor(case.checks, hardware, policy.azure.snp)
    return _judge_vtpm(case, report, root, dict(claims))


def judge_tdx(case: Case) -> Judgement:
    """All checks of ``azure-tdx``. Raises MalformedEvidence."""
    evidence, policy = case.evidence, case.policy
    if policy.tdx is None or policy.azure is None or policy.azure.tdx is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform azure-tdx and lacks its sections.")
    complete = check_parts(case.checks, evidence, _TDX_PARTS, _OPTIONAL[:1])
    root = vouching(case.anchors(INTEL), MICROSOFT_PARAVISOR)
    if not complete or evidence.hcl_report is None or evidence.tdx_quote is None:
        return Judgement(root)
    report = HclReport.parse(evidence.hcl_report)
    if not check_type(case.checks, report, hcl.TYPE_TDX):
        return Judgement(root)
    quote = Quote.parse(evidence.tdx_quote)
    claims = tdx.check_quote(
        case.checks,
        quote,
        policy.tdx.for_paravisor(),
        report_data=report.report_data(),
        at=case.at,
        items=case.items,
        anchor=one_anchor(case.anchors(INTEL)),
        ppids=policy.instances.ppids if policy.instances else (),
    )
    check_tdx_paravisor(case.checks, quote, policy.azure.tdx)
    return _judge_vtpm(case, report, root, dict(claims))


def check_type(checks: Recorder, report: HclReport, wanted: int) -> bool:
    """The report's own type decides what its hardware report is, not the platform that the evidence names."""
    found = report.report_type
    return checks.record("azure-report-type", found == wanted, _TYPES[wanted], _TYPES.get(found, str(found)))


def check_snp_paravisor(checks: Recorder, report: Report, section: AzureSnpPolicy) -> None:
    """Microsoft's key signed the paravisor, and the paravisor is not too old. That its VMPL is 0 the report's own
    checks judge."""
    checks.one_of("azure-id-key", section.id_key_digests, report.id_key_digest)
    least, found = section.min_guest_svn, report.guest_svn
    checks.record("azure-guest-svn", found >= least, f"at least {least}", str(found))


def check_tdx_paravisor(checks: Recorder, quote: Quote, section: AzureTdxPolicy) -> None:
    """The paravisor and the TDX module are known ones. Nothing is measured in the runtime registers there."""
    report = quote.report
    checks.one_of("azure-mrtd", section.mrtds, report.mr_td)
    checks.one_of("azure-mrseam", section.mrseams, report.mr_seam)
    used = [f"RTMR {index}: {value.hex()}" for index, value in enumerate(report.rtmrs) if any(value)]
    checks.record("azure-rtmrs", not used, "all zero", "; ".join(used) or "all zero")


def claimed_key(report: HclReport) -> rsa.RSAPublicKey:
    """The vTPM's attestation key, as the runtime claims have it. Raises MalformedEvidence."""
    try:
        return rsa.RSAPublicNumbers(_EXPONENT, int.from_bytes(report.claims.ak_modulus)).public_key()
    except ValueError as error:
        raise MalformedEvidence("HCL report.runtime.claims.keys.HCLAkPub", 0, "is not an RSA key") from error


def check_attestation_key(checks: Recorder, report: HclReport, parts: VtpmEvidence) -> None:
    """The vTPM's key is the one in the runtime claims."""
    spki = claimed_key(report).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    checks.equal("azure-ak", x509.spki_digest(spki), parts.fingerprint())


def _judge_vtpm(case: Case, report: HclReport, root: str, identity: dict[str, str]) -> Judgement:
    checks, evidence, policy = case.checks, case.evidence, case.policy
    parts = VtpmEvidence.parse(evidence, certified=False)
    if parts is None:  # the parts have been checked
        raise PolicyError("The evidence of the vTPM is not complete.")
    checks.equal("azure-user-data", evidence.report_data(), report.claims.user_data)
    check_attestation_key(checks, report, parts)
    identity |= _check_certificate(case, parts)
    _check_machine(case, report)
    vtpm.check_attributes(checks, parts)
    vtpm.check_quote(checks, parts, evidence.report_data())
    vtpm.check_event_log(checks, parts)
    image = vtpm.check_registers(checks, parts.pcrs, policy, evidence.runtime_log)
    identity |= {
        "ak": parts.fingerprint().hex(),
        "azure_vm_id": report.claims.vm_unique_id,
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    for name, setting in report.claims.configuration.items():
        identity[f"paravisor.{name}"] = str(setting).lower()
    return Judgement(root, image, identity, parts.pcrs)


def _check_certificate(case: Case, parts: VtpmEvidence) -> dict[str, str]:
    """Azure's certificate of the key adds nothing to what the hardware report says, but must not say otherwise."""
    if not parts.certificates:
        case.checks.not_applicable("azure-ak-certificate", "none came; the hardware report vouches for the key")
        return {}
    leaf = parts.certificates[0]
    case.checks.equal("azure-ak-certificate", parts.fingerprint(), leaf.fingerprint())
    pool = (*parts.certificates[1:], *x509.issuers_among(leaf, case.items(CERTIFICATE)))
    found = any(x509.find_path(leaf, pool, anchor.spki_sha256)[0] for anchor in case.anchors(AZURE_VTPM))
    return {"ak_certificate": "leads to Microsoft's root" if found else "does not lead to Microsoft's root"}


def _check_machine(case: Case, report: HclReport) -> None:
    allowed = case.policy.instances.azure_vm_ids if case.policy.instances else ()
    found = report.claims.vm_unique_id.upper()
    if allowed:
        case.checks.record("azure-machine", found in allowed, " or ".join(allowed), found)
    else:
        case.checks.not_applicable("azure-machine", "the policy names no machine at Azure", found)
