"""The platform ``sev-snp``: a guest that the host launched itself, without a paravisor and without a vTPM.

The launch digest covers firmware, kernel, initrd and command line; HOST_DATA is the digest of the boot configuration
that the host set at launch. There is no register that the agent could extend: what its runtime log lists (boot
configuration, event-log key, manifest) is what the report data is computed from, so the report itself vouches for it.
"""

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import EvidenceAppraisal, PlatformResult, check_debug, check_parts
from cloister.attestation.platforms.hardware import check_snp
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.x509.roots import AMD, named_root

ACPI_TABLES = "not measured"
"""What is known of the host's ACPI tables: programs that the kernel runs, and that no report of SEV-SNP covers."""

_REQUIRED = ("snp_report",)
_OPTIONAL = ("snp_certificates",)


def appraise(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of this platform, under the policy's section ``snp``. Raises MalformedEvidence."""
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    if policy.snp is None:  # Policy demands the section where it accepts the platform
        raise PolicyError("The policy accepts the platform sev-snp and has no section snp.")
    root = named_root(appraisal.anchors(AMD), AMD)
    check_parts(checks, evidence, _REQUIRED, _OPTIONAL)
    if evidence.snp_report is None:
        return PlatformResult(root, identity={"root": root})
    report = SnpReport.parse(evidence.snp_report)
    claims = check_snp(appraisal, report, evidence.snp_certificates, policy.snp, evidence.report_data())
    checks.equal("snp-host-data", evidence.boot_configuration_digest(), report.host_data)
    image = _check_image(checks, report, policy)
    return PlatformResult(root, image, {"root": root, **claims, "host_acpi_tables": ACPI_TABLES})


def _check_image(checks: Recorder, report: SnpReport, policy: Policy) -> ImageReference | None:
    """The launch digest is one of an image that the policy names. Returns that image."""
    digest = report.measurement
    image = next((image for image in policy.images if digest in image.launch_digests), None)
    checks.one_of("snp-launch-digest", [one for image in policy.images for one in image.launch_digests], digest)
    return check_debug(checks, image, policy)
