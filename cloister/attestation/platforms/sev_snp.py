"""The platform ``sev-snp``: a guest that the host launched itself, without a paravisor and without a vTPM.

The launch digest covers firmware, kernel, initrd and command line; HOST_DATA is the digest of the boot configuration
that the host set at launch. There is no register that the agent could extend: what its runtime log lists (boot
configuration, event-log key, manifest) is what the report data is computed from, so the report itself vouches for it.
"""

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import Case, Judgement
from cloister.attestation.platforms.booted import check_debug
from cloister.attestation.platforms.parts import check_parts
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Recorder
from cloister.attestation.roots import AMD, vouching
from cloister.attestation.snp.report import Report
from cloister.attestation.snp.verify import check_report, collect

_REQUIRED = ("snp_report",)
_OPTIONAL = ("snp_certificates",)


def judge(case: Case) -> Judgement:
    """All checks of this platform, under the policy's section ``snp``. Raises MalformedEvidence."""
    checks, evidence, section = case.checks, case.evidence, case.policy.snp
    if section is None:  # Policy demands the section where it accepts the platform
        raise PolicyError("The policy accepts the platform sev-snp and has no section snp.")
    anchors = case.anchors(AMD)
    root = vouching(anchors, AMD)
    check_parts(checks, evidence, _REQUIRED, _OPTIONAL)
    if evidence.snp_report is None:
        return Judgement(root, identity={"root": root})
    report = Report.parse(evidence.snp_report)
    certificates, crls = collect(evidence.snp_certificates, case.items)
    instances = case.policy.instances
    claims = check_report(
        checks,
        report,
        certificates,
        crls,
        section,
        report_data=evidence.report_data(),
        at=case.at,
        anchors=anchors,
        chip_ids=instances.chip_ids if instances else (),
    )
    checks.equal("snp-host-data", evidence.boot_configuration_digest(), report.host_data)
    image = _check_image(checks, report, case.policy)
    return Judgement(root, image, {"root": root, **claims})


def _check_image(checks: Recorder, report: Report, policy: Policy) -> ImageReference | None:
    """The launch digest is one of an image that the policy names. Returns that image."""
    digest = report.measurement
    image = next((image for image in policy.images if digest in image.launch_digests), None)
    checks.one_of("snp-launch-digest", [one for image in policy.images for one in image.launch_digests], digest)
    return check_debug(checks, image, policy)
