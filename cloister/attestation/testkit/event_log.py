"""A boot event log as firmware would write it (see :mod:`cloister.attestation.tpm.eventlog` for the source)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cloister.attestation.tpm.eventlog import EV_NO_ACTION
from cloister.attestation.tpm.structures import ALG_SHA256

EV_SEPARATOR = 0x4
EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
EV_IPL = 0xD

_SHA1_SIZE = 20


@dataclass(frozen=True)
class BootEvent:
    """One event. What is extended is the SHA-256 of ``data``."""

    pcr: int
    kind: int
    data: bytes


def encode_event_log(
    events: Iterable[BootEvent], algorithms: tuple[tuple[int, int], ...] = ((ALG_SHA256, 32),)
) -> bytes:
    """The log. ``algorithms`` are (TPM_ALG_ID, digest size in bytes); other banks than SHA-256 get zero digests."""
    sizes = b"".join(_little(algorithm, 2) + _little(size, 2) for algorithm, size in algorithms)
    spec = b"Spec ID Event03\0" + bytes(4) + bytes([0, 2, 0, 2]) + _little(len(algorithms), 4) + sizes + b"\0"
    log = _little(0, 4) + _little(EV_NO_ACTION, 4) + bytes(_SHA1_SIZE) + _little(len(spec), 4) + spec
    for event in events:
        log += _little(event.pcr, 4) + _little(event.kind, 4) + _little(len(algorithms), 4)
        for algorithm, size in algorithms:
            extended = algorithm == ALG_SHA256 and event.kind != EV_NO_ACTION
            log += _little(algorithm, 2) + (hashlib.sha256(event.data).digest() if extended else bytes(size))
        log += _little(len(event.data), 4) + event.data
    return log


def _little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")
