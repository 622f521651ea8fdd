"""The checks that only Google Cloud's platforms have."""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.collateral_source import LAUNCH_ENDORSEMENT
from cloister.attestation.result.checkinfo import CheckInfo, Failure, FailureKind, compare, missing

WITHOUT_ENDORSEMENT = missing("Google's endorsement of this measurement, from its bucket", [LAUNCH_ENDORSEMENT])
"""For a measurement without an endorsement, or with one that has expired."""
_FORGED = compare(
    FailureKind.SIGNATURE,
    "the launch endorsement",
    "the one in Google's bucket",
    first="Google did not sign this endorsement: do not use this machine.",
)
_FIRMWARE = compare(
    FailureKind.MEASUREMENT,
    "the measurement",
    "Google's endorsements",
    first="The machine did not start with firmware that Google signed: do not use it.",
)
_MACHINE = compare(FailureKind.IDENTITY, "project, zone and number of the machine", "the platform team")

GCP_CHECKS: Mapping[str, CheckInfo] = MappingProxyType(
    {
        "gcp-endorsement-path": CheckInfo(
            "The certificate path of Google's launch endorsement", _FORGED, (WITHOUT_ENDORSEMENT,)
        ),
        "gcp-endorsement-validity": CheckInfo("The validity of the endorsement's certificates", WITHOUT_ENDORSEMENT),
        "gcp-endorsement-signature": CheckInfo("The signature of Google's launch endorsement", _FORGED),
        "gcp-launch-digest": CheckInfo("The launch measurement of Google's firmware", _FIRMWARE),
        "gcp-mrtd": CheckInfo("The measurement of Google's firmware (MRTD)", _FIRMWARE),
        "gcp-firmware-svn": CheckInfo(
            "The security version of Google's firmware",
            Failure(FailureKind.OUTDATED, "Stop and start the machine, so that it gets newer firmware."),
        ),
        "gcp-production": CheckInfo("The environment at Google that the machine runs in", _MACHINE),
        "gcp-instance": CheckInfo("The machine that Google's certificate names", _MACHINE),
        "gcp-technology": CheckInfo(
            "The technology that Google's firmware measured (GCE NonHostInfo)",
            compare(
                FailureKind.MEASUREMENT,
                "the boot event log",
                "the platform team, who can say how the machine was started",
                first="Do not use this machine: its vTPM may be that of a machine that is not confidential.",
            ),
        ),
    }
)

_ENDORSED = ("gcp-endorsement-path", "gcp-endorsement-validity", "gcp-endorsement-signature")

GCP_SNP_NAMES = (
    *_ENDORSED,
    "gcp-launch-digest",
    "gcp-firmware-svn",
    "gcp-production",
    "gcp-instance",
    "gcp-technology",
)
GCP_TDX_NAMES = (*_ENDORSED, "gcp-mrtd", "gcp-firmware-svn")

GCP_TDX_IMAGE_NAMES = ("tdx-event-log", "tdx-rtmr-0", "tdx-rtmr-1", "tdx-rtmr-2", "tdx-rtmr-3", "image-debug")
"""The checks that identify the image of a TDX machine at Google, a part of those of the platform ``tdx``."""
