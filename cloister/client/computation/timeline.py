"""The event log as sentences for people: who did what, and when."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloister.client.html.parts import TextTable, shortened
from cloister.protocol import canonical, text
from cloister.protocol.events import Event, EventKind, State
from cloister.protocol.progress import ComputationProgress
from cloister.protocol.signingkey import key_id
from cloister.units import local_time

_SENTENCES = {
    EventKind.STARTED: "the agent is ready for a manifest",
    EventKind.MANIFEST: "submitted the manifest",
    EventKind.CONSENT: "consents to the use of {asset}",
    EventKind.ASSET: "{asset} is complete",
    EventKind.RUN_HELD: "all assets have arrived; the run waits for the owner's `start`",
    EventKind.RUN_STARTED: "the algorithm runs",
    EventKind.RUN_FINISHED: "the algorithm has ended",
    EventKind.RESULTS_READY: "results are ready",
    EventKind.RESULT_CONSUMED: "fetched the result",
    EventKind.EXPIRED: "results have expired and are wiped",
    EventKind.COMPLETED: "everything is wiped, the computation is complete",
    EventKind.FAILED: "failed: {reason}",
    EventKind.STOPPED: "stopped the computation",
    EventKind.RESULT_PREVIEWED: "fetched the result to decide on it",
    EventKind.APPROVED: "approved the result",
    EventKind.REJECTED: "rejected the result; everything of all parties is wiped",
    EventKind.WITHDRAWN: "withdrew its consent; everything of all parties is wiped",
}

REASONS = {
    "EXIT_STATUS": "the algorithm ended with an error",
    "TIME_LIMIT": "the algorithm took longer than the manifest allows",
    "MEMORY_LIMIT": "the algorithm needed more memory than the manifest allows",
    "RESULT_LIMIT": "the result is larger than the manifest allows",
    "RESULT_INVALID": "the result folder holds something that no result may have",
    "NO_RESULT": "the algorithm left no result",
    "LAUNCH": "the algorithm could not be started",
    "SCRATCH": "the scratch disk returned other data than was written to it",
    "STOPPED": "the run was stopped",
    "STORE_FULL": "the machine had no room for the result",
    "NO_EVIDENCE": "the machine could not make evidence for the receipt",
    "INTERNAL": "the agent failed",
    "REJECTED": "a party rejected the result",
    "NOT_DECIDED": "not every party approved the result in time",
    "WITHDRAWN": "a provider withdrew its consent",
    "NOT_STARTED": "no owner started the run in time",
    "EXPIRED": "the result expired before every consumer had fetched it",
}
"""Why a computation ended. Parties learn nothing else, so that a failure cannot leak data."""


class _MissingAsDash(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "-"


@dataclass(frozen=True)
class TimelineEntry:
    """One event for reading. A long log shows few of its events, so the words are made when someone asks for them.

    event: the event itself, verified.
    seconds: since the first event, by the machine's clock.
    actor: who caused it: a name, or the beginning of a key's id; ``agent`` for the machine.
    progress: of the computation after it.
    resumed: a consent to an asset to which its provider had consented before, which every session of an upload needs.
    """

    event: Event = field(repr=False)
    seconds: float
    actor: str
    progress: ComputationProgress = field(repr=False)
    resumed: bool = field(default=False, repr=False)

    @functools.cached_property
    def time(self) -> str:
        """When, by the host's clock, in the reader's zone."""
        return local_time(canonical.from_time(self.event.time, what="An event's time"))

    @functools.cached_property
    def what(self) -> str:
        """What happened, as a sentence."""
        if self.resumed:
            return "goes on with the upload of {asset}".format_map(_MissingAsDash(_readable(self.event.detail)))
        return _sentence(self.event)

    @property
    def state(self) -> str:
        """The computation's state after it, with its numbers."""
        return str(self.progress)

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The event as one line."""
        return f"{self.time}  {self.seconds:7.1f} s  {self.state:<26}  {self.actor:<12}  {self.what}"


def timeline_table(entries: Sequence[TimelineEntry], *, caption: str = "", more: str = "further events") -> TextTable:
    """The events as a table of bounded length, with a sentence for those that are left out."""
    columns = (("Time", "time"), ("Seconds", "text"), ("Who", "text"), ("What", "value"))
    rows = tuple(
        one if isinstance(one, str) else (one.time, f"{one.seconds:.1f}", one.actor, one.what)
        for one in shortened(entries, more)
    )
    return TextTable(columns, rows, caption)


def key_names(parties: Mapping[str, bytes], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Key id -> name of a manifest's parties, and of ``more``: key id -> name, such as a workspace's members."""
    return {**(more or {}), **{key_id(key): name for name, key in parties.items()}}


class Timeline:
    """The events of one boot, from the first one on, as they are read. ``progress`` is that of the events so far."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """``known`` maps key ids to names."""
        self.progress = ComputationProgress()
        self._known = known
        self._first: int | None = None
        self._consented: set[tuple[str | None, str | None]] = set()

    def entry(self, event: Event) -> TimelineEntry:
        """The next event, for reading."""
        self.progress = self.progress.after(event)
        if self._first is None:
            self._first = event.uptime
        consent = (event.actor, event.detail.get("asset")) if event.kind is EventKind.CONSENT else None
        resumed = consent in self._consented
        if consent is not None:
            self._consented.add(consent)
        return TimelineEntry(
            event=event,
            seconds=(event.uptime - self._first) / 1000,
            actor=self._known.get(event.actor, event.actor[:12]) if event.actor else "agent",
            progress=self.progress,
            resumed=resumed,
        )


def _sentence(event: Event) -> str:
    if event.kind is EventKind.RUN_STARTED and event.actor:
        return "started the run"
    if event.kind is EventKind.RESULTS_READY and event.state is State.APPROVAL:
        return "the result waits for approval"
    if event.kind is EventKind.REJECTED and not event.actor:
        return "not every party approved the result in time; everything of all parties is wiped"
    said = _SENTENCES[event.kind].format_map(_MissingAsDash(_readable(event.detail)))
    held = event.kind is EventKind.MANIFEST and "hold" in event.detail
    return f"{said}; the run will wait for the owner's `start`" if held else said


def _readable(detail: Mapping[str, str]) -> dict[str, str]:
    """Details for a line: reasons in words, without terminal control characters."""
    shown = {name: text.printable(said, replacement=" ") for name, said in detail.items()}
    if "reason" in shown:
        shown["reason"] = REASONS.get(shown["reason"], shown["reason"])
    return shown
