"""The checks of raw evidence: those of the vendors' layers, and the pins of a policy for raw evidence.

A pin that fails shows another machine, image or firmware than the policy names. Its advice says with whom to compare
the value, and never to take it over.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.checks import CHECKS
from cloister.attestation.policy.evidence_policy import PCRS
from cloister.attestation.raw.attachments import ATTACHMENT_CHECKS
from cloister.attestation.result.checkinfo import CheckInfo, Failure, FailureKind, compare
from cloister.attestation.snp.checks import SNP_NAMES
from cloister.attestation.tdx.checks import TDX_NAMES

_IMAGE = compare(
    FailureKind.MEASUREMENT,
    "this value",
    "the team that built the image",
    first="What runs is not what your policy names.",
)
_FIRMWARE = compare(
    FailureKind.MEASUREMENT,
    "this value",
    "the provider of the machine, and with what the vendor of its firmware publishes",
)
_HOST = compare(FailureKind.MEASUREMENT, "this value", "the team that started the machine")
_OLD = Failure(
    FailureKind.OUTDATED, "Ask the provider to update the TDX module of the platform, or use another machine."
)
_REGISTERS: Mapping[int, tuple[str, Failure]] = MappingProxyType(
    {
        0: ("firmware code", _FIRMWARE),
        1: ("firmware configuration", _FIRMWARE),
        2: ("UEFI drivers and option ROMs", _FIRMWARE),
        3: ("option ROM configuration", _FIRMWARE),
        4: ("the boot loader or kernel image that was started", _IMAGE),
        5: ("partition table and boot loader configuration", _IMAGE),
        6: ("platform manufacturer", _FIRMWARE),
        7: ("Secure Boot", _FIRMWARE),
        9: ("initrd and kernel command line", _IMAGE),
        10: ("the kernel's own measurements", _IMAGE),
        11: ("sections of the kernel image", _IMAGE),
        12: ("command line, addons and credentials from outside", _HOST),
        13: ("system extensions from outside", _HOST),
    }
)
"""What each register measures (TCG PC Client PFP 1.06, section 3.3.4; systemd-stub(7)), and the failure."""


def _register(index: int) -> CheckInfo:
    meaning, failure = _REGISTERS.get(index, ("used by the operating system", _IMAGE))
    return CheckInfo(f"PCR {index} ({meaning})", failure)


_PINS = {
    "snp-host-data": CheckInfo("What the host gave the machine at launch (HOST_DATA)", _HOST),
    "snp-launch-digest": CheckInfo("The launch digest of the machine (MEASUREMENT)", _IMAGE),
    "snp-family-id": CheckInfo("The family in the ID block (FAMILY_ID)", _IMAGE),
    "snp-image-id": CheckInfo("The image in the ID block (IMAGE_ID)", _IMAGE),
    "tdx-mrtd": CheckInfo("The firmware that the machine was started with (MRTD)", _FIRMWARE),
    "tdx-rtmr-0": CheckInfo("RTMR 0 (firmware configuration)", _HOST),
    "tdx-rtmr-1": CheckInfo("RTMR 1 (the boot loader or kernel image that was started)", _IMAGE),
    "tdx-rtmr-2": CheckInfo("RTMR 2 (initrd and kernel command line)", _IMAGE),
    "tdx-rtmr-3": CheckInfo("RTMR 3 (what the machine measured after boot)", _IMAGE),
    "tdx-mr-config-id": CheckInfo("What the host gave the machine at start (MRCONFIGID)", _HOST),
    "tdx-fmspc": CheckInfo(
        "The kind of platform (FMSPC)",
        compare(FailureKind.IDENTITY, "the FMSPC", "the provider of the machine"),
    ),
    "tdx-tee-tcb-svn": CheckInfo("The version of the TDX module at launch (TEE_TCB_SVN)", _OLD),
    "tdx-tee-tcb-svn2": CheckInfo("The version of the TDX module that runs now (TEE_TCB_SVN2)", _OLD),
    **{f"pcr-{index}": _register(index) for index in PCRS},
}

RAW_CHECKS: Mapping[str, CheckInfo] = MappingProxyType({**CHECKS, **_PINS, **ATTACHMENT_CHECKS})
"""All checks that a verdict on raw evidence may have, by name."""

RAW_SNP_NAMES = (*SNP_NAMES, "snp-launch-digest", "snp-host-data", "snp-family-id", "snp-image-id")
"""The checks of every SEV-SNP report."""

RAW_TDX_NAMES = (
    *TDX_NAMES,
    "tdx-fmspc",
    "tdx-tee-tcb-svn",
    "tdx-tee-tcb-svn2",
    "tdx-mrtd",
    *(f"tdx-rtmr-{index}" for index in range(4)),
    "tdx-mr-config-id",
)
"""The checks of every TDX quote."""
