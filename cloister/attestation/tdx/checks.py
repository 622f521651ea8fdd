"""The checks of a TDX quote, and those that identify the image on a platform without a vTPM."""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.checkinfo import ASK_AGAIN, REBUILD, CheckInfo

_FORGED = "Do not use this machine: its evidence does not come from the processor that it names."
_COLLATERAL = "Fetch the collateral from Intel's service again (`verify-evidence --fetch`) and verify again."
_REVOKED = "Do not use this machine: Intel no longer vouches for its key."
_UPDATE = "Ask the provider to update the machine's firmware, microcode or TDX module, or use another machine."
_HOST = "The host did not start the machine as your policy demands: have it started again with the right settings."

_QUOTE = {
    "tdx-qe-vendor": CheckInfo("The vendor of the quoting enclave", _FORGED),
    "tdx-quote-signature": CheckInfo("The signature of the quote", _FORGED),
    "tdx-attestation-key": CheckInfo("The key that signed the quote", _FORGED),
    "tdx-qe-report-signature": CheckInfo("The signature of the quoting enclave's report", _FORGED),
    "tdx-pck-path": CheckInfo("The certificate path of the platform's key", _FORGED),
    "tdx-pck-validity": CheckInfo("The validity of the platform's certificates", _COLLATERAL),
    "tdx-pck-revocation": CheckInfo("The revocation of the platform's key", _REVOKED),
    "tdx-ca-revocation": CheckInfo("The revocation of Intel's authorities", _COLLATERAL),
    "tdx-tcb-info": CheckInfo("The TCB info of the platform", _COLLATERAL),
    "tdx-tcb-info-validity": CheckInfo("The validity of the TCB info", _COLLATERAL),
    "tdx-qe-identity": CheckInfo("The published identity of the quoting enclave", _COLLATERAL),
    "tdx-qe-identity-validity": CheckInfo("The validity of the quoting enclave's identity", _COLLATERAL),
    "tdx-collateral-age": CheckInfo("The age of Intel's collateral", _COLLATERAL),
    "tdx-tcb-evaluation-number": CheckInfo("The number of Intel's TCB evaluation", _COLLATERAL),
    "tdx-quoting-enclave": CheckInfo("The quoting enclave", _FORGED),
    "tdx-module": CheckInfo("The TDX module that Intel publishes for the running version", _FORGED),
    "tdx-tcb-status": CheckInfo("The status of the platform's TCB", _UPDATE),
    "tdx-advisories": CheckInfo("Security advisories that are open on the platform", _UPDATE),
    "tdx-platform-instance": CheckInfo(
        "The platform that the machine runs on", "Ask the provider why the machine has moved."
    ),
    "tdx-report-version": CheckInfo("The version of the TD report", _HOST),
    "tdx-mr-signer-seam": CheckInfo("The signer of the TDX module", _UPDATE),
    "tdx-seam-attributes": CheckInfo("The attributes of the TDX module", _UPDATE),
    "tdx-mr-seam": CheckInfo("The TDX module", _UPDATE),
    "tdx-debug": CheckInfo("Whether the machine is under debug", f"Its host can read its memory. {_HOST}"),
    "tdx-migratable": CheckInfo("Whether the machine may be migrated", _HOST),
    "tdx-attributes": CheckInfo("The attributes of the machine", _HOST),
    "tdx-xfam": CheckInfo("The processor features of the machine (XFAM)", _HOST),
    "tdx-mr-owner": CheckInfo("The owner that the host named (MROWNER)", _HOST),
    "tdx-mr-owner-config": CheckInfo("The owner's configuration that the host named (MROWNERCONFIG)", _HOST),
    "tdx-service-td": CheckInfo("The service machines that are bound to the machine (MR_SERVICETD)", _HOST),
    "tdx-report-data": CheckInfo("The data that the quote was made over", ASK_AGAIN),
}

_IMAGE = {
    "tdx-boot-configuration": CheckInfo(
        "The boot configuration that the machine was started with (MRCONFIGID)",
        "The host gave it another boot configuration than the one in the evidence: do not use this machine.",
    ),
    "tdx-event-log": CheckInfo("The replay of the boot event log (CCEL)", _FORGED),
    "tdx-mrtd": CheckInfo("The firmware that the machine was started with (MRTD)", REBUILD),
    "tdx-rtmr-0": CheckInfo("RTMR 0 (firmware configuration)", "Ask the platform team what changed in the host."),
    "tdx-rtmr-1": CheckInfo("RTMR 1 (the kernel image that was started)", REBUILD),
    "tdx-rtmr-2": CheckInfo("RTMR 2 (initrd and kernel command line)", REBUILD),
    "tdx-rtmr-3": CheckInfo("RTMR 3 (not used by the image)", "Something measured there: do not use this machine."),
}

TDX_CHECKS: Mapping[str, CheckInfo] = MappingProxyType({**_QUOTE, **_IMAGE})
"""All checks of this folder by name, in the order of a verdict."""

TDX_NAMES = tuple(_QUOTE)
"""The checks of every quote: what ``verify.check_quote`` records."""

TDX_IMAGE_NAMES = tuple(_IMAGE)
"""The checks that identify boot configuration and image without a vTPM, besides ``image-debug``."""
