"""The boot event log that firmware keeps for a TD (CCEL): parsing and replay.

Source: ACPI Specification 6.5, section 5.2.34 (CCEL table); UEFI Specification 2.10, chapter 38
(EFI_CC_MEASUREMENT_PROTOCOL: of a TD's measurement registers, index 0 is MRTD and 1 to 4 are RTMR 0 to 3).
The format is the crypto-agile one of the TCG PC Client Platform Firmware Profile, version 1.06, section 10, with
SHA-384. The kernel returns the whole area that the firmware reserved, padded with bytes ff or zeros.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

from cloister.attestation.reader import Reader
from cloister.attestation.tpm.eventlog import EV_NO_ACTION, end_of, read_digests, read_spec_id

MAX_SIZE = 512 * 1024
"""Bytes of a whole log, without the filling of its area."""

MAX_EVENTS = 8192
RTMR_COUNT = 4
ALG_SHA384 = 0x000C
SHA384_SIZE = 48

_NO_REGISTER = 0xFFFFFFFF


@dataclass(frozen=True)
class CcEvent:
    """One event. ``register`` is the index of the measurement register, 1 to 4 for RTMR 0 to 3.

    For some types ``digest`` (SHA-384) does not cover ``data``, so no check may rely on ``data`` alone.
    """

    register: int
    kind: int
    digest: bytes
    data: bytes


@dataclass(frozen=True)
class Ccel:
    """A parsed log: the events that were extended."""

    events: tuple[CcEvent, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence."""
        reader = Reader(data, "CCEL", "little")
        end = end_of(data)
        if end > MAX_SIZE:
            raise reader.malformed("size", f"the log has {end} bytes, at most {MAX_SIZE} are allowed")
        sizes = read_spec_id(reader, ALG_SHA384, SHA384_SIZE)
        events: list[CcEvent] = []
        count = 0
        while reader.offset < end:
            if count == MAX_EVENTS:
                raise reader.malformed("events", f"the log has more than {MAX_EVENTS} events")
            event = _read_event(reader, sizes)
            count += 1
            if event is not None:
                events.append(event)
        return cls(tuple(events))

    def replay(self) -> tuple[bytes, ...]:
        """The values of RTMR 0 to 3 after these events, 48 bytes each."""
        values = [bytes(SHA384_SIZE)] * RTMR_COUNT
        for event in self.events:
            values[event.register - 1] = hashlib.sha384(values[event.register - 1] + event.digest).digest()
        return tuple(values)


def _read_event(reader: Reader, sizes: dict[int, int]) -> CcEvent | None:
    """The next event; None for information that was not extended."""
    start = reader.offset
    register = reader.unsigned(4, "mrIndex")
    kind = reader.unsigned(4, "eventType")
    digests = read_digests(reader, sizes)
    data = reader.sized(4, MAX_SIZE, "event")
    if kind == EV_NO_ACTION:  # with any register, including 0xffffffff for none
        return None
    if not 1 <= register <= RTMR_COUNT:
        name = "none" if register == _NO_REGISTER else str(register)
        raise reader.malformed("mrIndex", f"is {name}, must be 1 to {RTMR_COUNT} for RTMR 0 to 3", start)
    if ALG_SHA384 not in digests:
        raise reader.malformed("digests", "the event has no SHA-384 digest", start)
    return CcEvent(register, kind, digests[ALG_SHA384], data)
