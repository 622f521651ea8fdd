"""The platforms ``gcp-snp`` and ``gcp-tdx``.

With SEV-SNP the hardware measured Google's firmware, whose measurements Google signs, and protects the memory from the
host. The image is measured into a vTPM that belongs to the hypervisor, not to the processor: which image runs is
Google's claim, so a verdict names Google as the identity root. Both the report and the vTPM's quote are over the same
report data.

With TDX the hardware measures both firmware and image, and the vTPM is not used.
"""

from cloister.attestation.errors import PolicyError
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.gcp.policy import check_instance, check_measurement, check_svn
from cloister.attestation.gcp.technology import check_technology
from cloister.attestation.gcp.verify import check_endorsement
from cloister.attestation.platforms import vtpm
from cloister.attestation.platforms.appraisal import EvidenceAppraisal, PlatformResult, check_parts
from cloister.attestation.platforms.hardware import check_snp, check_tdx, intel_anchor
from cloister.attestation.platforms.tdx import acpi_tables, check_event_log, check_image
from cloister.attestation.platforms.vtpm import VtpmEvidence
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.structures import SHA256_SIZE
from cloister.attestation.x509.certificate import issuers_among
from cloister.attestation.x509.roots import AMD, GOOGLE_VTPM, named_root

_MAX_ENDORSEMENTS = 16
_SNP_PARTS = ("tpm_quote", "ak_certificates", "boot_event_log", "snp_report")
_TDX_PARTS = ("tdx_quote", "ccel")
_OPTIONAL = ("launch_endorsement", "snp_certificates")


def appraise_snp(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of ``gcp-snp``. Raises MalformedEvidence."""
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    section = policy.gcp
    if policy.snp is None or section is None or section.snp_min_svn is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform gcp-snp and lacks its sections.")
    root = named_root((*appraisal.anchors(AMD), *appraisal.anchors(GOOGLE_VTPM)), GOOGLE_VTPM)
    complete = check_parts(checks, evidence, _SNP_PARTS, _OPTIONAL)
    parts = VtpmEvidence.parse(evidence)
    if not complete or parts is None or evidence.snp_report is None:
        return PlatformResult(root)
    report = SnpReport.parse(evidence.snp_report)
    identity = check_snp(appraisal, report, evidence.snp_certificates, policy.snp, evidence.report_data())

    offered = _endorsements(appraisal)
    fitting = [one for one in offered if one.snp and report.measurement in one.snp.measurements.values()]
    endorsement = next(iter(fitting or offered), None)
    certificates = appraisal.collateral.certificates()
    identity |= check_endorsement(checks, endorsement, certificates, section, appraisal.at)
    if endorsement is not None:
        launched = endorsement.snp
        measurements = tuple(launched.measurements.values()) if launched else ()
        check_measurement(checks, "gcp-launch-digest", report.measurement, measurements)
        check_svn(checks, section.snp_min_svn, launched.svn if launched else None)

    identity |= check_instance(checks, parts.certificates[0], policy.instances.gcp if policy.instances else ())
    check_technology(checks, parts.event_log)
    anchor = next((anchor.spki_sha256 for anchor in appraisal.anchors(GOOGLE_VTPM)), bytes(SHA256_SIZE))
    issuers = issuers_among(parts.certificates[0], certificates, parts.certificates[1:])
    vtpm.check_attestation_key(checks, parts, issuers, anchor, appraisal.at, names_usage=False)
    vtpm.check_quote(checks, parts, evidence.report_data())
    vtpm.check_event_log(checks, parts)
    image = vtpm.check_registers(checks, parts.pcrs, policy, evidence.runtime_log)
    identity |= {
        "vtpm": "the hypervisor's: Google vouches for the image",
        "ak": parts.fingerprint().hex(),
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    return PlatformResult(root, image, identity, parts.pcrs)


def appraise_tdx(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of ``gcp-tdx``. Raises MalformedEvidence."""
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    section = policy.gcp
    if policy.tdx is None or section is None or section.tdx_min_svn is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform gcp-tdx and lacks its sections.")
    root = intel_anchor(appraisal).verdict_root
    complete = check_parts(checks, evidence, _TDX_PARTS, _OPTIONAL[:1])
    if not complete or evidence.tdx_quote is None or evidence.ccel is None:
        return PlatformResult(root)
    quote, log = TdxQuote.parse(evidence.tdx_quote), Ccel.parse(evidence.ccel)
    report = quote.report
    identity = check_tdx(appraisal, quote, policy.tdx, evidence.report_data())
    offered = _endorsements(appraisal)
    fitting = [one for one in offered if one.tdx and report.mr_td in one.tdx.mrtds]
    endorsement = next(iter(fitting or offered), None)
    identity |= check_endorsement(checks, endorsement, appraisal.collateral.certificates(), section, appraisal.at)
    if endorsement is not None:
        launched = endorsement.tdx
        check_measurement(checks, "gcp-mrtd", report.mr_td, launched.mrtds if launched else ())
        check_svn(checks, section.tdx_min_svn, launched.svn if launched else None)
    check_event_log(checks, log, report)
    image = check_image(checks, report, policy, firmware=False)
    return PlatformResult(root, image, {**identity, "host_acpi_tables": acpi_tables(image)})


def _endorsements(appraisal: EvidenceAppraisal) -> list[LaunchEndorsement]:
    """The evidence's own endorsement, then those of the collateral, at most 16. Raises MalformedEvidence."""
    brought = appraisal.collateral.launch_endorsements()
    data = appraisal.evidence.launch_endorsement
    own = [] if data is None else [LaunchEndorsement.parse(data)]
    return [*own, *brought][:_MAX_ENDORSEMENTS]
