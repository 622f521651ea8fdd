"""The agent's measurements after boot, into PCR 15 of the SHA-256 bank.

    digest extended = SHA-256("cloister/v1/runtime" 0x00 kind 0x00 digest)

The order of the kinds: the boot configuration (its SHA-256), the agent (SHA-256 of the SubjectPublicKeyInfo of its
event-log key) and, once accepted, the computation manifest (its digest).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

PCR = 15
"""The register that holds the runtime log."""

_LABEL = b"cloister/v1/runtime\0"
_DIGEST_SIZE = 32


class MeasurementKind(StrEnum):
    """What was measured."""

    BOOT_CONFIGURATION = "boot-configuration"
    AGENT = "agent"
    MANIFEST = "manifest"


ORDER = tuple(MeasurementKind)
"""The kinds in the order of measurement; the manifest is missing until one is submitted."""


@dataclass(frozen=True)
class Measurement:
    """One entry: ``digest`` is a SHA-256, 32 bytes."""

    kind: MeasurementKind
    digest: bytes

    def extended(self) -> bytes:
        """Return the value that PCR 15 is extended with, 32 bytes."""
        return hashlib.sha256(_LABEL + self.kind.value.encode() + b"\0" + self.digest).digest()


def replay(log: Iterable[Measurement]) -> bytes:
    """The value of PCR 15 after ``log``, 32 bytes."""
    value = bytes(_DIGEST_SIZE)
    for measurement in log:
        value = hashlib.sha256(value + measurement.extended()).digest()
    return value
