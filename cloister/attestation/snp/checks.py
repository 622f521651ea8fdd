"""The checks of a SEV-SNP report, and those that identify the image on a platform without a vTPM."""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.collateral_source import CERTIFICATE, CRL
from cloister.attestation.result.checkinfo import (
    AGAIN,
    FORGED,
    REBUILD,
    CheckInfo,
    Failure,
    FailureKind,
    choice,
    compare,
    missing,
)

_FIRMWARE = Failure(
    FailureKind.OUTDATED, "Ask the provider to update the firmware of its machines, or use another machine."
)
_ROLLBACK = Failure(FailureKind.OUTDATED, f"It can be rolled back. {_FIRMWARE.advice}")
_RELAUNCH = Failure(FailureKind.OUTDATED, f"{_FIRMWARE.advice} Launch the machine again.")
_LAUNCH = Failure(
    FailureKind.SETTING, "Ask the platform team to launch the machine with the settings that your policy demands."
)
_OPEN_TO_HOST = compare(
    FailureKind.DEBUG,
    "the settings of the launch",
    "the platform team",
    first="The host can read its memory: it is for trials, not for secrets.",
)
_OPEN_TO_AGENT = compare(
    FailureKind.DEBUG,
    "the settings of the launch",
    "the platform team",
    first="A migration agent can take its memory elsewhere.",
)
_SIGNED_BY = compare(FailureKind.IDENTITY, "the digest of that key", "the team that signs the guest")

WITHOUT_LEAF = missing("the certificate of the key that signed the report", [CERTIFICATE])
"""For a report without the certificate of its key: neither its product nor its signature can be judged."""

WITHOUT_ISSUER = missing("AMD's certificates of the product line", [CERTIFICATE])
"""For a certificate whose issuers are absent."""

TOO_OLD = missing("a newer revocation list of AMD's", [CRL], member="snp.max_crl_age_days")
"""For a current list that is older than the policy wants."""

UNKNOWN_SETTING = Failure(
    FailureKind.OUTDATED, "The firmware reports a setting that this version does not know: use a newer version."
)
"""For a bit in PLATFORM_INFO that has no name yet."""

CERTIFIED_ELSEWHERE = missing("the certificate for the chip and the TCB version in the report", [CERTIFICATE])
"""For a certificate of another product, chip or TCB version."""

_SMT_RISK = "With simultaneous multithreading (SMT), other code on a core may observe the guest."
HOST_SMT = choice(f"The host has SMT enabled. {_SMT_RISK}", "snp.allow_smt")
HOST_TIO = choice("The host has trusted I/O enabled: devices may be part of the guest.", "snp.allow_tio")
GUEST_SMT = choice(f"The guest may be started on a host with SMT. {_SMT_RISK}", "snp.allow_smt")
GUEST_CXL = choice("The guest may have memory behind CXL, outside the processor's socket.", "snp.allow_cxl")
_SEVERAL_GUEST = choice(
    "The guest was started with rights that the policy does not accept, or without some that it requires.",
    "snp.allow_smt",
    "snp.allow_cxl",
    "snp.require_guest_policy",
)
_SEVERAL_HOST = choice(
    "The host has settings that the policy does not accept, or lacks some that it requires.",
    "snp.allow_smt",
    "snp.allow_tio",
    "snp.require_platform_info",
)

SNP_CHECKS: Mapping[str, CheckInfo] = MappingProxyType(
    {
        "snp-report-version": CheckInfo(
            "The version of the report",
            Failure(FailureKind.OUTDATED, "Ask the provider to update the firmware of its machines."),
        ),
        "snp-signing-key": CheckInfo(
            "The kind of key that signed the report",
            choice("A cloud's key (VLEK) names no chip.", "snp.allow_vlek", "snp.vlek_clouds"),
        ),
        "snp-product": CheckInfo(
            "The product line of the processor",
            Failure(FailureKind.PLATFORM, "Use a machine of a product line that your policy's snp.minimum_tcb names."),
            (WITHOUT_LEAF, CERTIFIED_ELSEWHERE),
        ),
        "snp-chain": CheckInfo("The certificate chain of the signing key", FORGED, (WITHOUT_LEAF, WITHOUT_ISSUER)),
        "snp-validity": CheckInfo(
            "The validity of AMD's certificates",
            missing("a certificate that is valid, or appraise as of the day of the recording with --at", [CERTIFICATE]),
        ),
        "snp-crl": CheckInfo(
            "AMD's certificate revocation list",
            missing("AMD's current revocation list of the product line", [CRL], member="snp.require_crl"),
            (TOO_OLD,),
        ),
        "snp-revocation": CheckInfo(
            "The revocation of AMD's signing keys",
            Failure(FailureKind.REVOKED, "Do not use this machine: AMD has revoked its signing key."),
        ),
        "snp-signature": CheckInfo("The signature of the report", FORGED),
        "snp-report-data": CheckInfo("The data that the report was made over", AGAIN),
        "snp-chip": CheckInfo(
            "The chip or cloud that the signing key belongs to",
            compare(FailureKind.IDENTITY, "the cloud in the VLEK's certificate", "the provider of the machine"),
            (CERTIFIED_ELSEWHERE,),
        ),
        "snp-certificate-tcb": CheckInfo("The TCB version that the signing key belongs to", CERTIFIED_ELSEWHERE),
        "snp-instance": CheckInfo(
            "The chip that the machine runs on",
            compare(FailureKind.IDENTITY, "the chip's number", "the provider, who can say why the machine has moved"),
        ),
        "snp-vmpl": CheckInfo(
            "The privilege level (VMPL) that requested the report",
            Failure(
                FailureKind.SETTING,
                "More privileged code may have asked for it: ask for a report of the level that must.",
            ),
        ),
        "snp-debug": CheckInfo("The right to debug in the guest policy", _OPEN_TO_HOST),
        "snp-migration": CheckInfo("The right to migrate in the guest policy", _OPEN_TO_AGENT),
        "snp-guest-policy": CheckInfo(
            "The guest policy",
            _SEVERAL_GUEST,
            (GUEST_SMT, GUEST_CXL),
        ),
        "snp-abi": CheckInfo("The least firmware ABI in the guest policy", _LAUNCH),
        "snp-platform-info": CheckInfo(
            "The settings of the platform",
            _SEVERAL_HOST,
            (UNKNOWN_SETTING, HOST_SMT, HOST_TIO),
        ),
        "snp-tcb-reported": CheckInfo("The reported TCB version", _FIRMWARE),
        "snp-tcb-committed": CheckInfo("The committed TCB version", _ROLLBACK),
        "snp-tcb-launch": CheckInfo("The TCB version at launch", _RELAUNCH),
        "snp-tcb-current": CheckInfo("The current TCB version", _FIRMWARE),
        "snp-tcb-order": CheckInfo("The order of the TCB versions", FORGED),
        "snp-firmware": CheckInfo("The committed version of the firmware", _FIRMWARE),
        "snp-guest-svn": CheckInfo("The security version of the guest", _LAUNCH),
        "snp-id-key": CheckInfo("The identity key of the guest", _SIGNED_BY),
        "snp-author-key": CheckInfo("The author key of the guest", _SIGNED_BY),
        "snp-host-data": CheckInfo(
            "The boot configuration that the machine was launched with (HOST_DATA)",
            compare(FailureKind.MEASUREMENT, "the boot configuration", "the platform team and the owners in it"),
        ),
        "snp-launch-digest": CheckInfo("The launch digest of the machine", REBUILD),
    }
)
"""All checks of this folder by name, in the order of a verdict."""

SNP_IMAGE_NAMES = ("snp-host-data", "snp-launch-digest")
"""The checks that identify boot configuration and image where there is no vTPM."""

SNP_VOUCHED_BY = ("snp-chain", "snp-signature")
"""The checks that show that AMD vouches for a report."""

SNP_NAMES = tuple(name for name in SNP_CHECKS if name not in SNP_IMAGE_NAMES)
"""The checks of every report."""
