"""The checks of a TDX quote, and those that identify the image on a platform without a vTPM."""

from collections.abc import Mapping
from types import MappingProxyType

from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO
from cloister.attestation.result.checkinfo import (
    AGAIN,
    FORGED,
    LOG_ALONE,
    REBUILD,
    CheckInfo,
    Failure,
    FailureKind,
    choice,
    compare,
    missing,
)

_UPDATE = Failure(
    FailureKind.OUTDATED,
    "Ask the provider to update the machine's firmware, microcode or TDX module, or use another machine.",
)
_HOST = Failure(
    FailureKind.SETTING,
    "The host did not start the machine as your policy demands: have it started again with the right settings.",
)
_STARTED_BY = compare(FailureKind.IDENTITY, "this value", "the team that starts the machine")
_TCB_INFO = missing("Intel's TCB info for the platform, with its issuers", [TCB_INFO, CERTIFICATE])
_QE_IDENTITY = missing("Intel's identity of the quoting enclave, with its issuers", [QE_IDENTITY, CERTIFICATE])
UNSIGNED_TCB_INFO = missing("the TCB info as Intel signed it", [TCB_INFO])
"""For a TCB info that no certificate at hand signed, though there are certificates of its issuers."""

UNSIGNED_QE_IDENTITY = missing("the identity of the quoting enclave as Intel signed it", [QE_IDENTITY])
"""The same for a QE identity."""

_STATEMENTS = [TCB_INFO, QE_IDENTITY, CRL]
_LIST = missing("Intel's current revocation lists", [CRL], member="tdx.require_crl")

REVOKED = Failure(FailureKind.REVOKED, "Do not use this machine: Intel no longer vouches for its key.")
"""For a certificate that a revocation list names."""

_QUOTE = {
    "tdx-qe-vendor": CheckInfo("The vendor of the quoting enclave", FORGED),
    "tdx-quote-signature": CheckInfo("The signature of the quote", FORGED),
    "tdx-attestation-key": CheckInfo("The key that signed the quote", FORGED),
    "tdx-qe-report-signature": CheckInfo("The signature of the quoting enclave's report", FORGED),
    "tdx-pck-path": CheckInfo("The certificate path of the platform's key", FORGED),
    "tdx-pck-validity": CheckInfo(
        "The validity of the platform's certificates",
        missing("a new quote, or appraise as of the day of the recording with --at", [CERTIFICATE]),
    ),
    "tdx-pck-revocation": CheckInfo("The revocation of the platform's key", _LIST, (REVOKED,)),
    "tdx-ca-revocation": CheckInfo("The revocation of Intel's authorities", _LIST, (REVOKED,)),
    "tdx-tcb-info": CheckInfo("The TCB info of the platform", _TCB_INFO, (UNSIGNED_TCB_INFO,)),
    "tdx-tcb-info-validity": CheckInfo("The validity of the TCB info", _TCB_INFO),
    "tdx-qe-identity": CheckInfo(
        "The published identity of the quoting enclave", _QE_IDENTITY, (UNSIGNED_QE_IDENTITY,)
    ),
    "tdx-qe-identity-validity": CheckInfo("The validity of the quoting enclave's identity", _QE_IDENTITY),
    "tdx-collateral-age": CheckInfo(
        "The age of Intel's collateral",
        missing("newer collateral of Intel's", _STATEMENTS, member="tdx.max_collateral_age_days"),
    ),
    "tdx-tcb-evaluation-number": CheckInfo(
        "The number of Intel's TCB evaluation",
        missing("collateral of a newer evaluation", _STATEMENTS, member="tdx.min_tcb_evaluation_data_number"),
    ),
    "tdx-quoting-enclave": CheckInfo("The quoting enclave", FORGED),
    "tdx-module": CheckInfo("The TDX module that Intel publishes for the running version", FORGED),
    "tdx-tcb-status": CheckInfo("The status of the platform's TCB", _UPDATE),
    "tdx-advisories": CheckInfo("Security advisories that are open on the platform", _UPDATE),
    "tdx-platform-instance": CheckInfo(
        "The platform that the machine runs on",
        compare(FailureKind.IDENTITY, "the platform's PPID", "the provider, who can say why the machine has moved"),
    ),
    "tdx-report-version": CheckInfo("The version of the TD report", _HOST),
    "tdx-mr-signer-seam": CheckInfo(
        "The signer of the TDX module",
        compare(FailureKind.MEASUREMENT, "the signer of the TDX module", "what Intel publishes for it"),
    ),
    "tdx-seam-attributes": CheckInfo(
        "The attributes of the TDX module",
        compare(FailureKind.DEBUG, "the attributes of the TDX module", "what Intel publishes for it"),
    ),
    "tdx-mr-seam": CheckInfo(
        "The TDX module",
        compare(FailureKind.MEASUREMENT, "the measurement of the TDX module", "what Intel publishes for its version"),
    ),
    "tdx-debug": CheckInfo(
        "Whether the machine is under debug",
        compare(
            FailureKind.DEBUG,
            "the attributes that it was started with",
            "the team that starts the machine",
            first="Its host can read its memory: it is for trials, not for secrets.",
        ),
    ),
    "tdx-migratable": CheckInfo(
        "Whether the machine may be migrated",
        compare(
            FailureKind.DEBUG,
            "the attributes that it was started with",
            "the team that starts the machine",
            first="A migration TD can take its memory elsewhere.",
        ),
    ),
    "tdx-attributes": CheckInfo(
        "The attributes of the machine",
        choice("The host started it with other attributes.", "tdx.attributes_required", "tdx.attributes_allowed"),
    ),
    "tdx-xfam": CheckInfo(
        "The processor features of the machine (XFAM)",
        choice("The host started it with other features of the processor.", "tdx.xfam_allowed"),
    ),
    "tdx-mr-owner": CheckInfo("The owner that the host named (MROWNER)", _STARTED_BY),
    "tdx-mr-owner-config": CheckInfo("The owner's configuration that the host named (MROWNERCONFIG)", _STARTED_BY),
    "tdx-service-td": CheckInfo("The service machines that are bound to the machine (MR_SERVICETD)", _STARTED_BY),
    "tdx-report-data": CheckInfo("The data that the quote was made over", AGAIN),
}

_IMAGE = {
    "tdx-boot-configuration": CheckInfo(
        "The boot configuration that the machine was started with (MRCONFIGID)",
        compare(
            FailureKind.MEASUREMENT,
            "the boot configuration",
            "the platform team and the owners in it",
            first="The host gave it another boot configuration than the one in the evidence: do not use this machine.",
        ),
    ),
    "tdx-event-log": CheckInfo("The replay of the boot event log (CCEL)", FORGED, (LOG_ALONE,)),
    "tdx-mrtd": CheckInfo("The firmware that the machine was started with (MRTD)", REBUILD),
    "tdx-rtmr-0": CheckInfo(
        "RTMR 0 (firmware configuration)",
        compare(FailureKind.MEASUREMENT, "the event log", "the platform team, who can say what changed in the host"),
    ),
    "tdx-rtmr-1": CheckInfo("RTMR 1 (the kernel image that was started)", REBUILD),
    "tdx-rtmr-2": CheckInfo("RTMR 2 (initrd and kernel command line)", REBUILD),
    "tdx-rtmr-3": CheckInfo(
        "RTMR 3 (not used by the image)",
        compare(
            FailureKind.MEASUREMENT,
            "the image",
            "the team that published it",
            first="Something measured there: do not use this machine.",
        ),
    ),
}

TDX_CHECKS: Mapping[str, CheckInfo] = MappingProxyType({**_QUOTE, **_IMAGE})
"""All checks of this folder by name, in the order of a verdict."""

TDX_VOUCHED_BY = (
    "tdx-pck-path",
    "tdx-qe-report-signature",
    "tdx-qe-identity",
    "tdx-quoting-enclave",
    "tdx-attestation-key",
    "tdx-quote-signature",
)
"""The checks that show that Intel vouches for a quote. A platform's key signs the reports of other enclaves, too, and
what such an enclave signs is worth nothing: only the published identity tells Intel's own from them.
"""

TDX_NAMES = tuple(_QUOTE)
"""The checks of every quote: what ``verify.check_quote`` records."""

TDX_IMAGE_NAMES = tuple(_IMAGE)
"""The checks that identify boot configuration and image without a vTPM, besides ``image-debug``."""
