"""The boot event log that firmware keeps for the TPM: parsing and replay.

Source: TCG PC Client Platform Firmware Profile, version 1.06, section 10 (event logging): 10.2.1
(TCG_PCClientPCREvent), 10.2.2 (TCG_PCR_EVENT2), 10.4.5.1 (Spec ID Event), 10.4.5.3 (Startup Locality). All integers
are little endian. Only the crypto-agile format is read; a SHA-1-only log is malformed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from cloister.attestation.reader import Reader
from cloister.attestation.tpm.structures import ALG_SHA256, PCR_COUNT, SHA256_SIZE

MAX_SIZE = 512 * 1024
"""Bytes of a whole log."""

MAX_EVENTS = 8192

EV_NO_ACTION = 0x3
"""Events of this type are informational and not extended."""

_SPEC_ID = b"Spec ID Event03\0"
_STARTUP_LOCALITY = b"StartupLocality\0"
_LOCALITIES = (0, 3, 4)
_SHA1_SIZE = 20
_MAX_ALGORITHMS = 16
_MAX_DIGEST = 64
_FILLING = (b"\xff", b"\0")

EVENT_NAMES = {
    0x00000001: "EV_POST_CODE",
    0x00000004: "EV_SEPARATOR",
    0x00000005: "EV_ACTION",
    0x00000006: "EV_EVENT_TAG",
    0x00000007: "EV_S_CRTM_CONTENTS",
    0x00000008: "EV_S_CRTM_VERSION",
    0x00000009: "EV_CPU_MICROCODE",
    0x0000000A: "EV_PLATFORM_CONFIG_FLAGS",
    0x0000000B: "EV_TABLE_OF_DEVICES",
    0x0000000C: "EV_COMPACT_HASH",
    0x0000000D: "EV_IPL",
    0x0000000F: "EV_NONHOST_CODE",
    0x00000010: "EV_NONHOST_CONFIG",
    0x00000011: "EV_NONHOST_INFO",
    0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT",
    0x80000007: "EV_EFI_ACTION",
    0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
}
"""Names of event types: TCG PC Client Platform Firmware Profile 1.06, section 10.4.1, table 27."""


@dataclass(frozen=True)
class PcrEvent:
    """One TCG_PCR_EVENT2: the register, the event's type, its digests by algorithm, and its data.

    For some types the digest does not cover ``data``, so no check may rely on ``data`` alone.
    """

    pcr: int
    kind: int
    digests: Mapping[int, bytes]
    data: bytes

    @property
    def sha256(self) -> bytes:
        """The digest of the SHA-256 bank, which every event that changes a register has."""
        return self.digests[ALG_SHA256]


@dataclass(frozen=True)
class EventLog:
    """A parsed log: ``algorithms`` maps each bank to its digest size in bytes."""

    algorithms: Mapping[int, int]
    events: tuple[PcrEvent, ...]
    startup_locality: int

    @classmethod
    def parse(cls, data: bytes, *, filled: bool = False) -> Self:
        """``filled``: bytes ff or zeros may follow, which fill an area and do not count. Raises MalformedEvidence."""
        reader = Reader(data, "boot event log", "little")
        end = end_of(data) if filled else len(data)
        if end > MAX_SIZE:
            raise reader.malformed("size", f"the log has {end} bytes, at most {MAX_SIZE} are allowed")
        algorithms = read_spec_id(reader, ALG_SHA256, SHA256_SIZE)
        events: list[PcrEvent] = []
        locality: int | None = None
        while reader.offset < end:
            if len(events) == MAX_EVENTS:
                raise reader.malformed("events", f"the log has more than {MAX_EVENTS} events")
            start = reader.offset
            event = _read_event(reader, algorithms)
            if event.kind == EV_NO_ACTION and event.data.startswith(_STARTUP_LOCALITY):
                if locality is not None or any(e.pcr == 0 and e.kind != EV_NO_ACTION for e in events):
                    raise reader.malformed("StartupLocality", "comes twice, or after PCR 0 was extended", start)
                locality = _locality(reader, event, start)
            events.append(event)
        return cls(algorithms, tuple(events), locality or 0)

    def replay(self, pcrs: Iterable[int]) -> dict[int, bytes]:
        """The values of ``pcrs`` in the SHA-256 bank after these events."""
        values = {pcr: bytes(SHA256_SIZE) for pcr in pcrs}
        if 0 in values:
            # If the TPM was started from locality 3 or 4, PCR 0 begins with that number.
            values[0] = self.startup_locality.to_bytes(SHA256_SIZE)
        for event in self.extended():
            if event.pcr in values:
                values[event.pcr] = hashlib.sha256(values[event.pcr] + event.sha256).digest()
        return values

    def extended(self) -> tuple[PcrEvent, ...]:
        """The events that changed a register."""
        return tuple(event for event in self.events if event.kind != EV_NO_ACTION)


def is_log(data: bytes) -> bool:
    """Whether the bytes begin like a log in the crypto-agile format, of a TPM or of a TD."""
    return data[8 + _SHA1_SIZE + 4 :].startswith(_SPEC_ID)


def end_of(data: bytes) -> int:
    """The latest possible end of the last event: only filling of one kind follows."""
    # An event may end in such bytes, but not begin with them: it is read whole before the end is checked.
    last = data[-1:]
    return len(data.rstrip(last)) if last in _FILLING else len(data)


def read_spec_id(reader: Reader, algorithm: int, digest_size: int) -> dict[int, int]:
    """The first event, in the old format: the algorithms of the log, with the sizes of their digests in bytes.

    ``algorithm`` must be among them, with ``digest_size``. Raises MalformedEvidence.
    """
    start = reader.offset
    sizes = read_spec_id_sizes(reader)
    if sizes.get(algorithm) != digest_size:
        raise reader.malformed("SpecId.digestSizes", f"the log has no SHA-{8 * digest_size} digests", start)
    return sizes


def read_spec_id_sizes(reader: Reader) -> dict[int, int]:
    """The same for any algorithms. Raises MalformedEvidence."""
    reader.unsigned(4, "SpecId.pcrIndex")
    kind = reader.unsigned(4, "SpecId.eventType")
    reader.take(_SHA1_SIZE, "SpecId.digest")
    start = reader.offset
    size = reader.unsigned(4, "SpecId.eventSize")
    signature = reader.take(min(len(_SPEC_ID), size), "SpecId.signature")
    if kind != EV_NO_ACTION or signature != _SPEC_ID:
        # The log of a TPM with SHA-1 only begins like this, too.
        raise reader.malformed("SpecId.signature", "the log does not begin with a Spec ID Event03", start)
    body = reader.part(size - len(_SPEC_ID), "SpecId")
    body.take(8, "platformClass, versions and uintnSize")
    count = body.unsigned(4, "numberOfAlgorithms")
    if not 1 <= count <= _MAX_ALGORITHMS:
        raise body.malformed("numberOfAlgorithms", f"is {count}, must be 1 to {_MAX_ALGORITHMS}")
    sizes: dict[int, int] = {}
    for _ in range(count):
        announced = body.unsigned(2, "algorithmId")
        width = body.unsigned(2, "digestSize")
        if announced in sizes or not 1 <= width <= _MAX_DIGEST:
            raise body.malformed("digestSizes", f"algorithm {announced:#06x} comes twice or has an impossible size")
        sizes[announced] = width
    body.sized(1, 255, "vendorInfo")
    body.end()
    return sizes


def read_digests(reader: Reader, sizes: Mapping[int, int]) -> dict[int, bytes]:
    """TPML_DIGEST_VALUES of an event: each algorithm at most once, and only those in ``sizes``."""
    count = reader.unsigned(4, "digests.count")
    if count > len(sizes):
        raise reader.malformed("digests.count", f"is {count}, the log has {len(sizes)} algorithms")
    digests: dict[int, bytes] = {}
    for _ in range(count):
        place = reader.offset
        algorithm = reader.unsigned(2, "digests.algorithmId")
        if algorithm not in sizes or algorithm in digests:
            raise reader.malformed("digests.algorithmId", f"{algorithm:#06x} is not announced or comes twice", place)
        digests[algorithm] = reader.take(sizes[algorithm], "digests.digest")
    return digests


def _read_event(reader: Reader, algorithms: Mapping[int, int]) -> PcrEvent:
    start = reader.offset
    pcr = reader.unsigned(4, "pcrIndex")
    kind = reader.unsigned(4, "eventType")
    # Firmware writes informational events with any register, including 0xffffffff.
    if pcr >= PCR_COUNT and kind != EV_NO_ACTION:
        raise reader.malformed("pcrIndex", f"is {pcr}, must be less than {PCR_COUNT}", start)
    digests = read_digests(reader, algorithms)
    if ALG_SHA256 not in digests and kind != EV_NO_ACTION:
        raise reader.malformed("digests", "the event has no SHA-256 digest", start)
    return PcrEvent(pcr, kind, digests, reader.sized(4, MAX_SIZE, "event"))


def _locality(reader: Reader, event: PcrEvent, start: int) -> int:
    value = event.data[len(_STARTUP_LOCALITY) :]
    if event.pcr != 0 or len(value) != 1 or value[0] not in _LOCALITIES:
        raise reader.malformed("StartupLocality", f"is {value.hex()} for PCR {event.pcr}", start)
    return value[0]
