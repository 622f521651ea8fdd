"""Every check that a verdict may contain: its name, its subject, and how it fails with what to do then.

docs/attestation.md has the same list with the source and the test of each; a test compares the two.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.azure.checks import AZURE_CHECKS, AZURE_SNP_NAMES, AZURE_TDX_NAMES, CERTIFICATE_NAMES
from cloister.attestation.collateral_source import CERTIFICATE
from cloister.attestation.gcp.checks import GCP_CHECKS, GCP_SNP_NAMES, GCP_TDX_IMAGE_NAMES, GCP_TDX_NAMES
from cloister.attestation.result.checkinfo import (
    AGAIN,
    LOG_ALONE,
    REBUILD,
    CheckInfo,
    Failure,
    FailureKind,
    compare,
    missing,
)
from cloister.attestation.snp.checks import SNP_CHECKS, SNP_IMAGE_NAMES, SNP_NAMES, SNP_VOUCHED_BY
from cloister.attestation.statements.checks import STATEMENT_CHECKS
from cloister.attestation.tdx.checks import TDX_CHECKS, TDX_IMAGE_NAMES, TDX_NAMES, TDX_VOUCHED_BY

_FORGED = compare(
    FailureKind.SIGNATURE,
    "the SHA-256 of this evidence",
    "the operator of the machine, who can ask the machine for it again",
    first="Do not use this machine: its evidence does not come from the TPM that it names.",
)
_OTHER_POLICY = compare(
    FailureKind.IDENTITY,
    "the names in your policy",
    "the owners of the workspace, who can say which policy is this workspace's",
)
_DRIVER = compare(
    FailureKind.MEASUREMENT,
    "the boot event log",
    "the platform team",
    first="The boot loaded a driver from outside the image: have it removed.",
)
_PLATFORM_PCR = compare(
    FailureKind.MEASUREMENT, "the boot event log", "the platform team, who can say what changed in the firmware"
)
_HOST_INPUT = compare(
    FailureKind.MEASUREMENT,
    "the boot event log",
    "the platform team",
    first="The host gave the boot its own command line, addon or credential: have it removed.",
)
_IMAGE_OR_INPUT = Failure(FailureKind.MEASUREMENT, f"{REBUILD.advice} {_HOST_INPUT.advice}")
_RETRY = "Open a new session; if it fails again, do not use this machine."
_REPLAY = Failure(FailureKind.BINDING, f"It is a replay. {_RETRY}")
_INTERCEPTED = Failure(FailureKind.BINDING, f"Someone intercepts the connection. {_RETRY}")


def _bound(advice: str) -> Failure:
    return Failure(FailureKind.BINDING, advice)


_CHECKS = {
    "platform": CheckInfo(
        "The platform of the machine",
        Failure(
            FailureKind.PLATFORM,
            "Use a machine of a platform that your policy accepts, or a policy for the platform of this one.",
        ),
    ),
    "parts": CheckInfo(
        "The set of parts of the evidence",
        Failure(FailureKind.SETTING, "Ask the platform team why the machine's TPM is not set up."),
    ),
    "purpose": CheckInfo("What the evidence was made for", AGAIN),
    "session-nonce": CheckInfo("The nonce in the evidence", _REPLAY),
    "session-tls-key": CheckInfo("The TLS key in the evidence", _INTERCEPTED),
    "session-hpke-key": CheckInfo("The session's public key in the evidence", _INTERCEPTED),
    "receipt-payload": CheckInfo(
        "The receipt that the evidence names", _bound("The receipt was changed, or belongs to another computation.")
    ),
    "receipt-log-head": CheckInfo(
        "The head of the event log in the evidence",
        _bound("The event log was changed, cut, or belongs to another computation."),
    ),
    "manifest": CheckInfo(
        "The computation manifest that the machine runs",
        _bound("Review that manifest (`review`) before you agree to it."),
    ),
    "workspace": CheckInfo("The workspace in the boot configuration", _OTHER_POLICY),
    "cvm": CheckInfo("The name of the machine in the boot configuration", _OTHER_POLICY),
    "owners": CheckInfo(
        "The owners in the boot configuration", compare(FailureKind.IDENTITY, "each owner's key", "that owner")
    ),
    "runtime-log": CheckInfo("The order of what the agent measured", _FORGED),
    "runtime-boot-configuration": CheckInfo("The measured boot configuration", _FORGED),
    "runtime-agent": CheckInfo("The measured event-log key of the agent", _FORGED),
    "runtime-manifest": CheckInfo("The measured computation manifest", _FORGED),
    **STATEMENT_CHECKS,
    "quote-magic": CheckInfo("The magic number of the quote", _FORGED),
    "quote-type": CheckInfo("The type of the attested structure", _FORGED),
    "quote-signer": CheckInfo("The name of the key in the quote", _FORGED),
    "quote-signature": CheckInfo("The signature of the quote", _FORGED),
    "quote-binding": CheckInfo("The data that the quote was made over", AGAIN),
    "quote-selection": CheckInfo("The registers that the quote covers", _FORGED),
    "quote-pcr-digest": CheckInfo("The digest of the registers in the quote", _FORGED),
    "ak-path": CheckInfo(
        "The certificate path of the attestation key",
        compare(
            FailureKind.IDENTITY,
            "the fingerprint of the authority in your policy",
            "the platform team",
            first="At Google, --fetch gets the certificates of its authorities.",
        ),
    ),
    "ak-validity": CheckInfo(
        "The validity of the attestation key's certificates",
        missing("a certificate that is valid, or appraise as of the day of the recording with --at", [CERTIFICATE]),
    ),
    "ak-not-ca": CheckInfo("The certificate of the attestation key", _FORGED),
    "ak-usage": CheckInfo("The usage in the attestation key's certificate", _FORGED),
    "ak-key": CheckInfo("The key in the attestation key's certificate", _FORGED),
    "ak-attributes": CheckInfo("The attributes of the attestation key", _FORGED),
    "boot-event-log": CheckInfo("The replay of the boot event log", _FORGED, (LOG_ALONE,)),
    "image-debug": CheckInfo(
        "The kind of the image",
        compare(
            FailureKind.DEBUG,
            "the image that it should run",
            "the platform team",
            first="Others can read the memory of a debug image: it is for trials, not for secrets.",
        ),
    ),
    "pcr-0": CheckInfo("PCR 0 (firmware code)", _PLATFORM_PCR),
    "pcr-1": CheckInfo("PCR 1 (firmware configuration)", _PLATFORM_PCR),
    "pcr-2": CheckInfo("PCR 2 (UEFI drivers and option ROMs)", _DRIVER),
    "pcr-3": CheckInfo("PCR 3 (option ROM configuration)", _PLATFORM_PCR),
    "pcr-4": CheckInfo("PCR 4 (the kernel image that was started)", REBUILD),
    "pcr-5": CheckInfo("PCR 5 (partition table)", _PLATFORM_PCR),
    "pcr-6": CheckInfo("PCR 6 (platform manufacturer)", _PLATFORM_PCR),
    "pcr-7": CheckInfo("PCR 7 (Secure Boot)", _PLATFORM_PCR),
    "pcr-8": CheckInfo("PCR 8 (not used by the image)", _PLATFORM_PCR),
    "pcr-9": CheckInfo("PCR 9 (initrd and kernel command line)", _IMAGE_OR_INPUT),
    "pcr-10": CheckInfo("PCR 10 (the kernel's own measurements)", _PLATFORM_PCR),
    "pcr-11": CheckInfo("PCR 11 (sections of the kernel image)", REBUILD),
    "pcr-12": CheckInfo("PCR 12 (command line, addons and credentials from outside)", _HOST_INPUT),
    "pcr-13": CheckInfo("PCR 13 (system extensions from outside)", _HOST_INPUT),
    "pcr-14": CheckInfo("PCR 14 (not used by the image)", _PLATFORM_PCR),
    "pcr-15": CheckInfo("PCR 15 (the runtime log)", _FORGED),
}

CHECKS: Mapping[str, CheckInfo] = MappingProxyType(
    {
        **_CHECKS,
        **SNP_CHECKS,
        **TDX_CHECKS,
        **AZURE_CHECKS,
        **GCP_CHECKS,
    }
)
"""All checks by name."""

COMMON = tuple(_CHECKS)[: tuple(_CHECKS).index("quote-magic")]
"""The checks that do not depend on the platform."""

VTPM = tuple(name for name in _CHECKS if name not in COMMON)
"""The checks of a platform whose image is identified by the registers of a vTPM."""

_UNCERTIFIED = tuple(name for name in VTPM if name not in CERTIFICATE_NAMES)

CHECKS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "local": (*COMMON, *VTPM),
        "sev-snp": (*COMMON, *SNP_NAMES, *SNP_IMAGE_NAMES, "image-debug"),
        "tdx": (*COMMON, *TDX_NAMES, *TDX_IMAGE_NAMES, "image-debug"),
        "azure-snp": (*COMMON, *SNP_NAMES, *AZURE_SNP_NAMES, *_UNCERTIFIED),
        "azure-tdx": (*COMMON, *TDX_NAMES, *AZURE_TDX_NAMES, *_UNCERTIFIED),
        "gcp-snp": (*COMMON, *SNP_NAMES, *GCP_SNP_NAMES, *VTPM),
        "gcp-tdx": (*COMMON, *TDX_NAMES, *GCP_TDX_NAMES, *GCP_TDX_IMAGE_NAMES),
    }
)
"""The checks of a verdict by platform, in order. Evidence of a platform that is missing here is rejected."""

_VTPM_VOUCHED_BY = ("ak-path", "ak-key", "quote-signature")

VOUCHED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "local": _VTPM_VOUCHED_BY,
        "sev-snp": SNP_VOUCHED_BY,
        "tdx": TDX_VOUCHED_BY,
        "azure-snp": (*SNP_VOUCHED_BY, "snp-report-data", "snp-vmpl", "azure-id-key"),
        "azure-tdx": (*TDX_VOUCHED_BY, "tdx-report-data", "azure-mrtd", "azure-mrseam"),
        "gcp-snp": (*SNP_VOUCHED_BY, *_VTPM_VOUCHED_BY),
        "gcp-tdx": TDX_VOUCHED_BY,
        "tpm": _VTPM_VOUCHED_BY,
    }
)
"""The checks that show that the identity root of a platform vouches for the evidence; at Azure, that the hardware does
for the claims of a paravisor that is Microsoft's. The last is a TPM's quote alone.
"""
