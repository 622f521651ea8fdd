"""The event log as people read it: who did what, and when."""

import datetime
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.connection.retry import EVENTS, Patience
from cloister.errors import CloisterError, ProofError
from cloister.protocol import canonical, text
from cloister.protocol.events import Event, EventChain, EventKind, Record, State
from cloister.protocol.transcript import key_id

ENDED = frozenset({State.COMPLETE, State.FAILED, State.STOPPED})
"""States that nothing follows."""

_SENTENCES = {
    EventKind.STARTED: "the agent is ready for a manifest",
    EventKind.MANIFEST: "submitted the manifest",
    EventKind.CONSENT: "consents to the use of {asset}",
    EventKind.ASSET: "{asset} is complete",
    EventKind.RUN_STARTED: "the algorithm runs",
    EventKind.RUN_FINISHED: "the algorithm has ended",
    EventKind.RESULTS_READY: "results are ready",
    EventKind.RESULT_CONSUMED: "took the result",
    EventKind.EXPIRED: "results have expired and are wiped",
    EventKind.COMPLETED: "everything is wiped, the computation is complete",
    EventKind.FAILED: "failed: {reason}",
    EventKind.STOPPED: "stopped the computation",
}

REASONS = {
    "EXIT_STATUS": "the algorithm ended with an error",
    "TIME_LIMIT": "the algorithm took longer than the manifest allows",
    "MEMORY_LIMIT": "the algorithm needed more memory than the manifest allows",
    "RESULT_LIMIT": "the result is larger than the manifest allows",
    "RESULT_INVALID": "the result folder holds something other than files",
    "NO_RESULT": "the algorithm left no result",
    "LAUNCH": "the algorithm could not be started",
    "STOPPED": "the run was stopped",
    "INTERNAL": "the agent failed",
}
"""Why a computation failed: all that anyone learns, so that it is no channel out."""

_STATES = {
    State.IDLE: "Waiting for a Manifest",
    State.RECEIVING: "Receiving Assets",
    State.RUNNING: "Running",
    State.CONSUMING: "Consuming Results",
    State.COMPLETE: "Complete",
    State.FAILED: "Failed",
    State.STOPPED: "Stopped",
}


class _Absent(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "-"


@dataclass(frozen=True)
class Line:
    """One event for reading: the host's time in the reader's zone, seconds since the first event, who, what, state."""

    time: str
    seconds: float
    actor: str
    what: str
    state: str

    def text(self) -> str:
        """One line of a terminal."""
        return f"{self.time}  {self.seconds:7.1f} s  {self.state:<20}  {self.actor:<12}  {self.what}"


def names(parties: Mapping[str, bytes], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Key id -> name, of a manifest's parties and of ``more`` (key id -> name, say a workspace's members)."""
    return {**(more or {}), **{key_id(key): name for name, key in parties.items()}}


def line(event: Event, first_uptime: int, known: Mapping[str, str]) -> Line:
    """``event`` for reading. ``first_uptime`` is that of the log's first event, in milliseconds."""
    moment = canonical.from_time(event.time, what="An event's time").astimezone()
    actor = known.get(event.actor, event.actor[:12]) if event.actor else "agent"
    return Line(
        time=local_time(moment),
        seconds=(event.uptime - first_uptime) / 1000,
        actor=actor,
        what=_SENTENCES[event.kind].format_map(_Absent(_readable(event.detail))),
        state=_STATES[event.state],
    )


def _readable(detail: Mapping[str, str]) -> dict[str, str]:
    """Details for a line: enumerated reasons as words, and nothing that would move the cursor."""
    shown = {name: text.printable(said, replacement=" ") for name, said in detail.items()}
    if "reason" in shown:
        shown["reason"] = REASONS.get(shown["reason"], shown["reason"])
    return shown


def local_time(moment: datetime.datetime) -> str:
    """A time in the reader's zone, with its offset."""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")


def value(record: Record) -> dict[str, Any]:
    """A record as JSON for programs: the line of the log as it is."""
    return {"event": record.event.value(), "signature": canonical.to_base64(record.signature)}


class Follower:
    """Reads the event log from its beginning, over as many sessions as it takes.

    Signature and chain of every event are checked before it is shown.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chain: EventChain | None = None
        self._key = b""
        self.state = State.IDLE
        self.started = 0

    def records(self, *, follow: bool, until: frozenset[State] = ENDED) -> Iterator[Record]:
        """Records from where this follower stands; with ``follow`` until the computation reaches a state of ``until``.

        Raises ProofError when an event does not fit, ConnectionLost when the machine stays away.
        """
        patience = Patience(EVENTS)
        while True:
            try:
                for raw in self._read(follow):
                    yield self._take(raw)
                    patience.renew()
                    if follow and self.state in until:
                        return
            except CloisterError as error:
                if isinstance(error, ConnectionLost) and error.deadline and follow:
                    continue
                if not is_interruption(error):
                    raise
                self._connection.close()
                patience.wait(error)
                continue
            if not follow or self.state in ENDED:
                return
            # A stream that ends although nothing has ended: ask again, at a pace that burdens nobody.
            time.sleep(EVENTS[0])

    def _read(self, follow: bool) -> Iterator[bytes]:
        session = self._connection.session()
        key = self._connection.evidence().event_log_key
        if self._chain is None:
            self._chain, self._key = EventChain(key), key
        elif key != self._key:
            raise ProofError(
                "The machine was started anew while its events were read: its event-log key is another one.",
                hint="What an earlier life of the machine held is wiped.",
            )
        return session.events(self._chain.count, follow=follow)

    def _take(self, raw: bytes) -> Record:
        try:
            record = Record.parse(raw)
        except canonical.FormatError as error:
            raise ProofError(f"The agent sends an event that is none: {error.message}") from error
        if self._chain is None:
            raise ProofError("An event came before the evidence.")
        if self._chain.count == 0:
            self.started = record.event.uptime
        self._chain.add(record)
        self.state = record.event.state
        return record
