"""The checks that only Azure's platforms have."""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.result.checkinfo import CheckInfo, Failure, FailureKind, compare

_FORGED = compare(
    FailureKind.SIGNATURE,
    "the SHA-256 of this evidence",
    "the operator of the machine, who can ask the machine for it again",
    first="Do not use this machine: its evidence does not come from the paravisor that your policy names.",
)
_STALE = Failure(
    FailureKind.BINDING,
    "The guest must write its report data to NV 0x01400002 before it reads the report: ask for new evidence.",
)
_PARAVISOR = compare(
    FailureKind.MEASUREMENT,
    "the measurement of the paravisor",
    "what Microsoft publishes for it",
    first="A paravisor can forge every register.",
)

AZURE_CHECKS: Mapping[str, CheckInfo] = MappingProxyType(
    {
        "azure-report-type": CheckInfo("The type of hardware report in the paravisor's report", _FORGED),
        "azure-user-data": CheckInfo("The user data in the paravisor's report", _STALE),
        "azure-ak": CheckInfo("The attestation key of the paravisor's vTPM", _FORGED),
        "azure-ak-certificate": CheckInfo("Azure's own certificate of an attestation key", _FORGED),
        "azure-machine": CheckInfo(
            "The machine's number at Azure (vmUniqueId)",
            compare(FailureKind.IDENTITY, "the machine's number", "the platform team"),
        ),
        "azure-id-key": CheckInfo(
            "The key that signed the paravisor (ID_KEY_DIGEST)",
            compare(
                FailureKind.IDENTITY,
                "the digest of that key",
                "what Microsoft publishes for its paravisors",
                first="A paravisor can forge every register.",
            ),
        ),
        "azure-guest-svn": CheckInfo(
            "The security version of the paravisor (GUEST_SVN)",
            Failure(FailureKind.OUTDATED, "Have the machine moved to a host that is up to date."),
        ),
        "azure-mrtd": CheckInfo("The measurement of the paravisor (MRTD)", _PARAVISOR),
        "azure-mrseam": CheckInfo("The measurement of the TDX module (MRSEAM)", _PARAVISOR),
        "azure-rtmrs": CheckInfo("The runtime registers of the TDX machine (RTMR 0 to 3)", _PARAVISOR),
    }
)

_COMMON = ("azure-report-type", "azure-user-data", "azure-ak", "azure-ak-certificate", "azure-machine")

AZURE_SNP_NAMES = (*_COMMON, "azure-id-key", "azure-guest-svn")
AZURE_TDX_NAMES = (*_COMMON, "azure-mrtd", "azure-mrseam", "azure-rtmrs")

CERTIFICATE_NAMES = frozenset({"ak-path", "ak-validity", "ak-not-ca", "ak-usage", "ak-key"})
"""Checks of a vTPM's certificate. Azure's platforms lack them: the hardware report vouches for the key."""
