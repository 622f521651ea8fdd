"""The likely causes of what failed in a verdict. They explain it and change nothing about it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from cloister.attestation.diagnosis.launch import explain_launch, explain_mrtd
from cloister.attestation.diagnosis.registers import explain_pcr, explain_rtmr
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.launch.firmware import Firmware
from cloister.attestation.result.cause import Cause, Likely
from cloister.attestation.result.verdict import Check
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EventLog
from cloister.protocol.imagemanifest import ImageManifest

_MRTD_CHECKS = {"tdx-mrtd": "MRTD", "gcp-mrtd": "MRTD", "azure-mrtd": "MRTD of the paravisor"}
_Log = TypeVar("_Log")


@dataclasses.dataclass(frozen=True)
class EventLogs:
    """The logs that came with raw evidence: a TPM's and a TD's, None where there was none."""

    boot_event_log: bytes | None = None
    ccel: bytes | None = None


class Explainable(Protocol):
    """A verdict."""

    @property
    def failures(self) -> tuple[Check, ...]:
        """All failed checks, in order."""
        ...

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Likely causes of failures."""
        ...


_Verdict = TypeVar("_Verdict", bound=Explainable)


def explained(
    verdict: _Verdict,
    evidence: Evidence | EventLogs,
    images: Sequence[ImageManifest] = (),
    firmware: Sequence[Firmware] = (),
) -> _Verdict:
    """``verdict`` with the likely causes of measurements that differ; its checks and its decision stay as they are.

    ``evidence`` is what the verdict is on, or the event logs of raw evidence. ``images`` are
    manifests that the caller trusts: they say what each event should be. ``firmware`` is tried for launch digests and
    MRTDs.
    """
    failures = verdict.failures
    if not failures:
        return verdict
    failed = frozenset(check.name for check in failures)
    boot, td = _parsed(evidence.boot_event_log, EventLog.parse), _parsed(evidence.ccel, Ccel.parse)
    causes: list[Cause | None] = []
    for check in failures:
        if check.name.startswith("pcr-") and boot is not None:
            causes.append(explain_pcr(check, boot, images, failed))
        elif check.name.startswith("tdx-rtmr-") and td is not None:
            causes.append(explain_rtmr(check, td, images, failed))
        elif check.name == "gcp-launch-digest":
            causes.append(Cause(check.name, Likely.FIRMWARE, "launch digest", check.expected, check.found))
        elif check.name in _MRTD_CHECKS:
            causes.append(explain_mrtd(check, _MRTD_CHECKS[check.name], firmware))
        elif check.name == "snp-launch-digest":
            causes.append(explain_launch(check, images, firmware))
    found = tuple(cause for cause in causes if cause is not None)
    return dataclasses.replace(verdict, causes=found)  # ty: ignore[invalid-argument-type]


def _parsed(data: bytes | None, parse: Callable[[bytes], _Log]) -> _Log | None:
    """None for a log that is absent or malformed."""
    if data is None:
        return None
    try:
        return parse(data)
    except MalformedEvidence:
        return None
