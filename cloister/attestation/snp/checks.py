"""The checks of a SEV-SNP report, and those that identify the image on a platform without a vTPM."""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.checkinfo import REBUILD, CheckInfo

_FORGED = "Do not use this machine: its evidence does not come from the processor that it names."
_COLLATERAL = "Fetch AMD's certificates and revocation list again (`verify-evidence --fetch`) and verify again."
_FIRMWARE = "Ask the provider to update the firmware of its machines, or use another machine."
_LAUNCH = "Ask the platform team to launch the machine with the settings that your policy demands."
_HOST = "Use a machine whose host is set up as your policy demands."

SNP_CHECKS: Mapping[str, CheckInfo] = MappingProxyType(
    {
        "snp-report-version": CheckInfo(
            "The version of the report", "Ask the provider to update the firmware of its machines."
        ),
        "snp-signing-key": CheckInfo(
            "The kind of key that signed the report",
            "A cloud's key (VLEK) names no chip: allow it only if you accept that.",
        ),
        "snp-product": CheckInfo("The product line of the processor", "Use a machine of a line in your minimum_tcb."),
        "snp-chain": CheckInfo("The certificate chain of the signing key", _COLLATERAL),
        "snp-validity": CheckInfo("The validity of AMD's certificates", _COLLATERAL),
        "snp-crl": CheckInfo("AMD's certificate revocation list", _COLLATERAL),
        "snp-revocation": CheckInfo(
            "The revocation of AMD's signing keys", "Do not use this machine: AMD has revoked its signing key."
        ),
        "snp-signature": CheckInfo("The signature of the report", _FORGED),
        "snp-report-data": CheckInfo("The data that the report was made over", "Open a new session."),
        "snp-chip": CheckInfo("The chip or cloud that the signing key belongs to", _FORGED),
        "snp-certificate-tcb": CheckInfo("The TCB version that the signing key belongs to", _COLLATERAL),
        "snp-instance": CheckInfo("The chip that the machine runs on", "Ask the provider why the machine has moved."),
        "snp-vmpl": CheckInfo("The privilege level (VMPL) that requested the report", _FORGED),
        "snp-debug": CheckInfo("The right to debug in the guest policy", f"The host can read its memory. {_LAUNCH}"),
        "snp-migration": CheckInfo(
            "The right to migrate in the guest policy", f"An agent can take its memory elsewhere. {_LAUNCH}"
        ),
        "snp-guest-policy": CheckInfo("The guest policy", _LAUNCH),
        "snp-abi": CheckInfo("The least firmware ABI in the guest policy", _LAUNCH),
        "snp-platform-info": CheckInfo("The settings of the platform", _HOST),
        "snp-tcb-reported": CheckInfo("The reported TCB version", _FIRMWARE),
        "snp-tcb-committed": CheckInfo("The committed TCB version", f"It can be rolled back. {_FIRMWARE}"),
        "snp-tcb-launch": CheckInfo("The TCB version at launch", f"{_FIRMWARE} Launch the machine again."),
        "snp-tcb-current": CheckInfo("The current TCB version", _FIRMWARE),
        "snp-tcb-order": CheckInfo("The order of the TCB versions", _FORGED),
        "snp-firmware": CheckInfo("The committed version of the firmware", _FIRMWARE),
        "snp-guest-svn": CheckInfo("The security version of the guest", _LAUNCH),
        "snp-id-key": CheckInfo("The identity key of the guest", _LAUNCH),
        "snp-author-key": CheckInfo("The author key of the guest", _LAUNCH),
        "snp-host-data": CheckInfo("The boot configuration that the machine was launched with (HOST_DATA)", _LAUNCH),
        "snp-launch-digest": CheckInfo("The launch digest of the machine", REBUILD),
    }
)
"""All checks of this folder by name, in the order of a verdict."""

SNP_IMAGE_NAMES = ("snp-host-data", "snp-launch-digest")
"""The checks that identify boot configuration and image where there is no vTPM."""

SNP_NAMES = tuple(name for name in SNP_CHECKS if name not in SNP_IMAGE_NAMES)
"""The checks of every report."""
