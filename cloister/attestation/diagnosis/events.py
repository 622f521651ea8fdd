"""The events of one register in a boot event log, as a diagnosis reads them.

A log is the host's word. The events together are authentic once they lead to the register's value; the data of an event
is authentic only where its digest covers it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EV_NO_ACTION, EVENT_NAMES, EventLog
from cloister.attestation.tpm.structures import ALG_SHA256
from cloister.protocol import text

EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
SEPARATOR = bytes(4)

_SHOWN = 200
# Section 10.2.6, UEFI_VARIABLE_DATA: GUID, length of the name in characters, length of the data, name, data.
_GUID, _LENGTH = 16, 8
_SECURE_BOOT = "SecureBoot".encode("utf-16-le")


@dataclass(frozen=True)
class LoggedEvent:
    """One event of a register. ``covered``: the digest is that of ``data``, which is therefore authentic."""

    kind: int
    digest: bytes
    data: bytes
    covered: bool

    @property
    def is_separator(self) -> bool:
        """Whether it only marks the end of the firmware's own events."""
        return self.covered and self.data == SEPARATOR

    def words(self) -> str | None:
        """The text that was measured, UTF-16 or ASCII; None if it is not text or the digest does not cover it."""
        if not self.covered:
            return None
        for encoding in ("utf-16-le", "ascii"):
            try:
                said = self.data.decode(encoding).rstrip("\0")
            except UnicodeDecodeError:
                continue
            if said and said.isprintable() and said.isascii():
                return said
        return None

    def describe(self) -> str:
        """The event for people: its type, and what was measured or its digest."""
        kind = EVENT_NAMES.get(self.kind, f"type {self.kind:#x}")
        said = self.words()
        shown = f"digest {self.digest.hex()}" if said is None else f"'{text.printable(said[:_SHOWN])}'"
        return f"{kind}, {shown}"


def of_tpm(log: EventLog, pcr: int) -> tuple[LoggedEvent, ...]:
    """The events that were extended into ``pcr``."""
    return tuple(
        LoggedEvent(
            event.kind,
            event.digests[ALG_SHA256],
            event.data,
            hashlib.sha256(event.data).digest() == event.digests[ALG_SHA256],
        )
        for event in log.events
        if event.pcr == pcr and event.kind != EV_NO_ACTION
    )


def of_td(log: Ccel, rtmr: int) -> tuple[LoggedEvent, ...]:
    """The events that were extended into RTMR ``rtmr``."""
    return tuple(
        LoggedEvent(event.kind, event.digest, event.data, hashlib.sha384(event.data).digest() == event.digest)
        for event in log.events
        if event.register == rtmr + 1
    )


def secure_boot(events: Sequence[LoggedEvent]) -> bool | None:
    """Whether the measured variable SecureBoot is 1; None if it was not measured."""
    for event in events:
        if event.kind != EV_EFI_VARIABLE_DRIVER_CONFIG or not event.covered:
            continue
        name, size = event.data[_GUID : _GUID + _LENGTH], event.data[_GUID + _LENGTH : _GUID + 2 * _LENGTH]
        rest = event.data[_GUID + 2 * _LENGTH :]
        characters = int.from_bytes(name, "little")
        if 2 * characters == len(_SECURE_BOOT) and rest.startswith(_SECURE_BOOT):
            value = rest[len(_SECURE_BOOT) :]
            return int.from_bytes(size, "little") == len(value) and value == b"\1"
    return None
