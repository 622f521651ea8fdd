"""The protection of a machine's memory at Google, as Google's firmware measures it into PCR 0."""

import functools
import hashlib
from collections.abc import Mapping

from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tpm.eventlog import EV_NO_ACTION, EventLog
from cloister.attestation.tpm.structures import ALG_SHA256

NON_HOST_INFO = b"GCE NonHostInfo\0"
"""Begins the event in PCR 0 with the memory protection that Google's firmware found (EV_NONHOST_INFO)."""

TECHNOLOGY_SNP = 4

_TECHNOLOGIES = {0: "none", 1: "SEV", 2: "SEV-ES", 3: "TDX", TECHNOLOGY_SNP: "SEV-SNP"}
_RESERVED = 15
_SEPARATOR = hashlib.sha256(bytes(4)).digest()


def check_technology(checks: Recorder, log: EventLog) -> None:
    """The firmware measured into PCR 0 that the machine has SEV-SNP. Without it, a Shielded VM's vTPM would pass.

    Compares digests and their order, which the register determines. The type of an event and, for some types, its data
    are not in its digest: a guest could rewrite the log. It could also extend PCR 0, but only after the separator.
    """
    known = _technology_digests()
    digests = [event.digests[ALG_SHA256] for event in log.events if event.pcr == 0 and event.kind != EV_NO_ACTION]
    measured = digests[: digests.index(_SEPARATOR)] if _SEPARATOR in digests else []
    by_firmware = [known[digest] for digest in measured if digest in known]
    anywhere = [known[digest] for digest in digests if digest in known]
    passed = by_firmware == anywhere == [TECHNOLOGY_SNP]
    found = ", ".join(_TECHNOLOGIES.get(one, str(one)) for one in anywhere) or "nothing"
    checks.record("gcp-technology", passed, f"{_TECHNOLOGIES[TECHNOLOGY_SNP]}, once, before PCR 0's separator", found)


@functools.cache
def _technology_digests() -> Mapping[bytes, int]:
    """The technology by the digest of its event, for every value of its byte."""
    events = {number: NON_HOST_INFO + bytes([number]) + bytes(_RESERVED) for number in range(256)}
    return {hashlib.sha256(event).digest(): number for number, event in events.items()}
