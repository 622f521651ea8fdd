"""A boot event log that comes alone: it is replayed, and shows nothing, because no one signs a log."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EventLog

_REGISTERS = tuple(range(24))
_SHOWN = 64
# TCG PC Client Platform Firmware Profile, version 1.06, table 27.
_EVENTS: Mapping[int, str] = {
    0x1: "EV_POST_CODE",
    0x4: "EV_SEPARATOR",
    0x5: "EV_ACTION",
    0x6: "EV_EVENT_TAG",
    0x7: "EV_S_CRTM_CONTENTS",
    0x8: "EV_S_CRTM_VERSION",
    0x9: "EV_CPU_MICROCODE",
    0xA: "EV_PLATFORM_CONFIG_FLAGS",
    0xB: "EV_TABLE_OF_DEVICES",
    0xC: "EV_COMPACT_HASH",
    0xD: "EV_IPL",
    0xF: "EV_NONHOST_CODE",
    0x10: "EV_NONHOST_CONFIG",
    0x11: "EV_NONHOST_INFO",
    0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT",
    0x80000007: "EV_EFI_ACTION",
    0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
}


@dataclass(frozen=True)
class EventLogs:
    """The logs that came with raw evidence: a TPM's and a TD's, None where there was none."""

    boot_event_log: bytes | None = None
    ccel: bytes | None = None


@dataclass(frozen=True)
class RawLog:
    """A log alone: a TD's (CCEL) or a TCG boot event log, with or without the filling of its area."""

    data: bytes
    is_ccel: bool


def replayed(raw: RawLog) -> tuple[dict[str, str], tuple[str, ...]]:
    """The registers that a log leads to, by name, and a line for each of its events. Raises MalformedEvidence."""
    if raw.is_ccel:
        ccel = Ccel.parse(raw.data)
        values = {f"rtmr{index}": value.hex() for index, value in enumerate(ccel.replay())}
        lines = tuple(_line(f"RTMR {one.register - 1}", one.kind, one.digest, one.data) for one in ccel.events)
        return values, lines
    log = EventLog.parse(raw.data, filled=True)
    used = {event.pcr for event in log.extended()}
    values = {f"pcr{index}": value.hex() for index, value in log.replay(_REGISTERS).items() if index in used}
    return values, tuple(_line(f"PCR {one.pcr}", one.kind, one.sha256, one.data) for one in log.extended())


def _line(register: str, kind: int, digest: bytes, data: bytes) -> str:
    text = data[:_SHOWN].decode("utf-8", "replace")
    plain = "".join(one if one.isprintable() and one != "\ufffd" else "." for one in text).strip(".")
    return f"{register}  {_EVENTS.get(kind, f'{kind:#010x}')}  {digest.hex()}  {plain}".rstrip()
