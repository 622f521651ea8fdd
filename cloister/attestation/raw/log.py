"""A boot event log that comes alone: it is replayed, and shows nothing, because no one signs a log."""

from dataclasses import dataclass

from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EVENT_NAMES, EventLog

_REGISTERS = tuple(range(24))
_SHOWN = 64


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
    return f"{register}  {EVENT_NAMES.get(kind, f'{kind:#010x}')}  {digest.hex()}  {plain}".rstrip()
