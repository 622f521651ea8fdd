"""The platform ``tdx``: a TD without a paravisor, on a host that has nothing more to say.

The quote binds everything: the session through its report data, the boot configuration through MRCONFIGID, which the
host sets before the TD starts, and the image through MRTD (firmware) and RTMR 1 and 2 (kernel, initrd, command line).
"""

import hashlib
from collections.abc import Sequence

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import Case, Judgement
from cloister.attestation.platforms.booted import check_debug
from cloister.attestation.platforms.parts import check_parts
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Recorder
from cloister.attestation.roots import INTEL, Anchor
from cloister.attestation.tdx.policy import TdxReference
from cloister.attestation.tdx.quote import Quote, TdReport
from cloister.attestation.tdx.verify import check_quote
from cloister.attestation.tpm.ccel import Ccel

_REQUIRED = ("tdx_quote", "ccel")
_IMAGE_RTMRS = (1, 2)
_REPLAYED = (0, 1, 2)


def judge(case: Case) -> Judgement:
    """All checks of this platform, under the policy's section ``tdx``. Raises MalformedEvidence."""
    checks, evidence, section = case.checks, case.evidence, case.policy.tdx
    if section is None:  # Policy demands the section where it accepts the platform
        raise PolicyError("The policy accepts the platform tdx and has no section tdx.")
    anchor = one_anchor(case.anchors(INTEL))
    check_parts(checks, evidence, _REQUIRED)
    if evidence.tdx_quote is None or evidence.ccel is None:
        return Judgement(anchor.vouches)
    quote, log = Quote.parse(evidence.tdx_quote), Ccel.parse(evidence.ccel)
    instances = case.policy.instances
    identity = check_quote(
        checks,
        quote,
        section,
        report_data=evidence.report_data(),
        at=case.at,
        items=case.items,
        anchor=anchor,
        ppids=instances.ppids if instances else (),
    )
    configuration = hashlib.sha384(evidence.boot_configuration).digest()
    checks.equal("tdx-boot-configuration", configuration, quote.report.mr_config_id)
    check_event_log(checks, log, quote.report)
    image = check_image(checks, quote.report, case.policy)
    return Judgement(anchor.vouches, image, identity)


def one_anchor(anchors: Sequence[Anchor]) -> Anchor:
    """Intel has one root; a caller hands in one in its place. Raises PolicyError."""
    if len(anchors) != 1:
        raise PolicyError(f"There are {len(anchors)} anchors for Intel's certificates, there must be one.")
    return anchors[0]


def check_event_log(checks: Recorder, log: Ccel, report: TdReport) -> None:
    """The firmware's log leads to RTMR 0 to 2; RTMR 3 is not the firmware's."""
    replayed = log.replay()
    wrong = [index for index in _REPLAYED if replayed[index] != report.rtmrs[index]]
    found = "the values of all of them"
    if wrong:
        found = "; ".join(f"RTMR {i}: {replayed[i].hex()} instead of {report.rtmrs[i].hex()}" for i in wrong)
    checks.record("tdx-event-log", not wrong, "the quoted values of RTMR 0 to 2", found)


def check_image(checks: Recorder, report: TdReport, policy: Policy, *, firmware: bool = True) -> ImageReference | None:
    """MRTD and every RTMR have one check each. Returns the image whose values the TD has, if there is one.

    Without ``firmware`` MRTD is not looked at: somebody else answers for it.
    """
    references = [(image, image.tdx) for image in policy.images if image.tdx is not None]

    def agreement(reference: TdxReference) -> int:
        registers = sum(reference.rtmrs[index] == report.rtmrs[index] for index in _IMAGE_RTMRS)
        return registers + (firmware and report.mr_td in reference.mrtds)

    # Failures are told against the image that agrees in most; where no image has values, every value is refused.
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
    # What the agent measures is bound by the report data; nothing else may measure anything after boot.
    checks.equal("tdx-rtmr-3", bytes(len(report.rtmr3)), report.rtmr3)
    return check_debug(checks, image if matches else None, policy)


def check_mrtd(checks: Recorder, report: TdReport, mrtds: Sequence[bytes]) -> None:
    """The firmware is one of those that the policy names."""
    checks.one_of("tdx-mrtd", mrtds, report.mr_td)
