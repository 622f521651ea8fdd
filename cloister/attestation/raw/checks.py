"""The checks of raw evidence: those of the vendors' layers, and the pins of a policy for raw evidence.

A pin that fails shows another machine, image or firmware than the policy names. Its advice says with whom to compare
the value, and never to take it over.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.checks import CHECKS
from cloister.attestation.raw.attachments import ATTACHMENT_CHECKS
from cloister.attestation.raw.registers import PCR_REGISTERS, RTMR_REGISTERS, Knows, Register
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
_BY_KNOWER = {Knows.FIRMWARE: _FIRMWARE, Knows.STARTER: _HOST, Knows.BUILDER: _IMAGE}

UNTIED = Failure(
    FailureKind.BINDING,
    "Nothing that is signed ties this TPM to the processor, so its registers show nothing of this machine. Ask for "
    "evidence in which the hardware names the TPM's key.",
)
"""For registers of a TPM that came beside a report or quote of the processor."""


def _register(name: str, register: Register, *others: Failure) -> CheckInfo:
    return CheckInfo(f"{name} ({register.meaning})", _BY_KNOWER[register.known_by], others)


_VTPM = {
    "ak-path": CheckInfo(
        "The certificate path of the attestation key",
        compare(
            FailureKind.IDENTITY,
            "the attestation key",
            "the operator of the machine, over a channel of your own: then name that key in a file of its own",
            first="No cloud's certificate vouches for the key. At Google, --fetch gets the certificates of its "
            "authorities.",
        ),
    ),
}
"""Where a policy for raw evidence has no member for what a workspace's policy names."""

_PINS = {
    "snp-host-data": CheckInfo("What the host gave the machine at launch (HOST_DATA)", _HOST),
    "snp-launch-digest": CheckInfo("The launch digest of the machine (MEASUREMENT)", _IMAGE),
    "snp-family-id": CheckInfo("The family in the ID block (FAMILY_ID)", _IMAGE),
    "snp-image-id": CheckInfo("The image in the ID block (IMAGE_ID)", _IMAGE),
    "tdx-mrtd": CheckInfo("The firmware that the machine was started with (MRTD)", _FIRMWARE),
    **{f"tdx-rtmr-{index}": _register(f"RTMR {index}", one) for index, one in enumerate(RTMR_REGISTERS)},
    "tdx-mr-config-id": CheckInfo("What the host gave the machine at start (MRCONFIGID)", _HOST),
    "tdx-fmspc": CheckInfo(
        "The kind of platform (FMSPC)",
        compare(FailureKind.IDENTITY, "the FMSPC", "the provider of the machine"),
    ),
    "tdx-tee-tcb-svn": CheckInfo("The version of the TDX module at launch (TEE_TCB_SVN)", _OLD),
    "tdx-tee-tcb-svn2": CheckInfo("The version of the TDX module that runs now (TEE_TCB_SVN2)", _OLD),
    **{f"pcr-{index}": _register(f"PCR {index}", one, UNTIED) for index, one in PCR_REGISTERS.items()},
}

RAW_CHECKS: Mapping[str, CheckInfo] = MappingProxyType({**CHECKS, **_VTPM, **_PINS, **ATTACHMENT_CHECKS})
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
