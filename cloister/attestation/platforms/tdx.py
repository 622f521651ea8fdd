"""The platform ``tdx``: a TD that the host started itself, without a paravisor.

The quote binds everything: the session through its report data, the boot configuration through MRCONFIGID, which the
host sets before the TD starts, and the image through MRTD (firmware) and RTMR 1 and 2 (kernel, initrd, command line).
"""

import hashlib
from collections.abc import Sequence

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import EvidenceAppraisal, PlatformResult, check_debug, check_parts
from cloister.attestation.platforms.hardware import check_tdx, intel_anchor
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tdx.policy import TdxReference
from cloister.attestation.tdx.quote import TdReport, TdxQuote
from cloister.attestation.tpm.ccel import Ccel

_REQUIRED = ("tdx_quote", "ccel")
_IMAGE_RTMRS = (1, 2)
_REPLAYED = (0, 1, 2)


def appraise(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of this platform, under the policy's section ``tdx``. Raises MalformedEvidence."""
    checks, evidence, policy = appraisal.checks, appraisal.evidence, appraisal.policy
    if policy.tdx is None:  # Policy demands the section where it accepts the platform
        raise PolicyError("The policy accepts the platform tdx and has no section tdx.")
    root = intel_anchor(appraisal).verdict_root
    check_parts(checks, evidence, _REQUIRED)
    if evidence.tdx_quote is None or evidence.ccel is None:
        return PlatformResult(root)
    quote, log = TdxQuote.parse(evidence.tdx_quote), Ccel.parse(evidence.ccel)
    identity = check_tdx(appraisal, quote, policy.tdx, evidence.report_data())
    configuration = hashlib.sha384(evidence.boot_configuration).digest()
    checks.equal("tdx-boot-configuration", configuration, quote.report.mr_config_id)
    check_event_log(checks, log, quote.report)
    image = check_image(checks, quote.report, policy)
    return PlatformResult(root, image, {**identity, "host_acpi_tables": acpi_tables(image)})


def check_event_log(checks: Recorder, log: Ccel, report: TdReport) -> None:
    """Replaying the firmware's log gives RTMR 0 to 2. The firmware does not measure into RTMR 3."""
    replayed = log.replay()
    wrong = [index for index in _REPLAYED if replayed[index] != report.rtmrs[index]]
    found = "the values of all of them"
    if wrong:
        found = "; ".join(f"RTMR {i}: {replayed[i].hex()} instead of {report.rtmrs[i].hex()}" for i in wrong)
    checks.record("tdx-event-log", not wrong, "the quoted values of RTMR 0 to 2", found)


def check_image(checks: Recorder, report: TdReport, policy: Policy, *, firmware: bool = True) -> ImageReference | None:
    """MRTD and every RTMR have one check each. Returns the image whose values the TD has, or None.

    With ``firmware`` false, MRTD is not checked here: the platform has its own check of the firmware.
    """
    references = [(image, image.tdx) for image in policy.images if image.tdx is not None]

    def agreement(reference: TdxReference) -> int:
        registers = sum(reference.rtmrs[index] == report.rtmrs[index] for index in _IMAGE_RTMRS)
        return registers + (firmware and report.mr_td in reference.mrtds)

    # Failures are reported against the closest image. If no image has values for TDX, every value fails.
    image, reference = max(references, key=lambda pair: agreement(pair[1]), default=(None, None))
    matches = reference is not None and agreement(reference) == len(_IMAGE_RTMRS) + firmware
    rtmrs = reference.rtmrs if reference else {}
    if firmware:
        check_mrtd(checks, report, reference.mrtds if reference else ())
    for index in _IMAGE_RTMRS:
        checks.one_of(f"tdx-rtmr-{index}", [rtmrs[index]] if index in rtmrs else [], report.rtmrs[index])
    if 0 in rtmrs:
        checks.equal("tdx-rtmr-0", rtmrs[0], report.rtmr0)
    else:
        reason = "it belongs to the platform, and the policy pins no value"
        checks.not_applicable("tdx-rtmr-0", reason, report.rtmr0.hex())
    # What the agent measures is bound by the report data; nothing else may measure after boot.
    checks.equal("tdx-rtmr-3", bytes(len(report.rtmr3)), report.rtmr3)
    return check_debug(checks, image if matches else None, policy)


def acpi_tables(image: ImageReference | None) -> str:
    """What is known of the host's ACPI tables: programs that the kernel runs, and that the firmware measures."""
    pinned = image is not None and image.tdx is not None and 0 in image.tdx.rtmrs
    return f"measured into RTMR 0, which the policy {'pins' if pinned else 'does not pin'}"


def check_mrtd(checks: Recorder, report: TdReport, mrtds: Sequence[bytes]) -> None:
    """The firmware is one that the policy names."""
    checks.one_of("tdx-mrtd", mrtds, report.mr_td)
