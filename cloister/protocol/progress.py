"""The progress of a computation in the words that people see: the one table of names for the protocol's states.

Events and the agent's status have the states of ``cloister.protocol.events``. What a person reads or types is a phase
of this table, with numbers behind it: ``Receiving Data (2 of 3)``, ``Running 1:12``, ``Completed (1 of 2 fetched)``.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from cloister.protocol import text
from cloister.protocol.events import Event, EventKind, State
from cloister.protocol.manifest import Manifest


class Phase(StrEnum):
    """What people call a state. ReceivingAssets has two names: a computation waits for its algorithm first."""

    IDLE = "Waiting for a Manifest"
    ALGORITHM = "Receiving Algorithm"
    DATA = "Receiving Data"
    READY = "Ready"
    RUNNING = "Running"
    APPROVAL = "Awaiting Approval"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"


_PHASES = {
    State.IDLE: Phase.IDLE,
    State.HELD: Phase.READY,
    State.RUNNING: Phase.RUNNING,
    State.APPROVAL: Phase.APPROVAL,
    State.CONSUMING: Phase.COMPLETED,
    State.COMPLETE: Phase.COMPLETED,
    State.FAILED: Phase.FAILED,
    State.STOPPED: Phase.STOPPED,
}

FINAL_STATES = frozenset({State.COMPLETE, State.FAILED, State.STOPPED})
"""States that no other state follows."""

_DIGITS = 6
"""Of a number in an event."""


@dataclass(frozen=True)
class Tally:
    """How many of a number have arrived, or were fetched."""

    done: int = 0
    all: int = 0

    @property
    def complete(self) -> bool:
        """Whether none is missing."""
        return self.done >= self.all

    def one_more(self) -> "Tally":
        """The tally after one more."""
        return replace(self, done=self.done + 1)

    def __str__(self) -> str:
        return f"{self.done} of {self.all}"


@dataclass(frozen=True)
class ComputationProgress:
    """How far a computation is."""

    state: State = State.IDLE

    algorithm: Tally = Tally()
    """Assets of the algorithm: program, bundle and files."""

    datasets: Tally = Tally()

    approved: Tally = Tally()
    """Parties that have approved the result, of those that must."""

    fetched: Tally = Tally()
    """Consumers that have their result."""

    started: int = 0
    """When the run began, in milliseconds since boot."""

    seconds: int = 0
    """How long the algorithm has run."""

    @property
    def phase(self) -> Phase:
        """The name of the state, without numbers."""
        if self.state is not State.RECEIVING:
            return _PHASES[self.state]
        return Phase.DATA if self.algorithm.complete and self.datasets.all else Phase.ALGORITHM

    @property
    def final(self) -> bool:
        """Whether the computation has ended."""
        return self.state in FINAL_STATES

    def __str__(self) -> str:
        """The name of the state for a reader, with its numbers."""
        phase = self.phase
        if phase is Phase.DATA:
            return f"{phase} ({self.datasets})"
        if phase is Phase.READY:
            return f"{phase} (waiting for start)"
        if phase is Phase.RUNNING:
            return f"{phase} {format_elapsed(self.seconds)}"
        if phase is Phase.APPROVAL:
            return f"{phase} ({self.approved})"
        if phase is Phase.COMPLETED and not self.fetched.complete:
            return f"{phase} ({self.fetched} fetched)"
        return phase.value

    def after(self, event: Event) -> Self:
        """The progress after the next event."""
        now = self if event.state is self.state else replace(self, state=event.state)
        if event.kind is EventKind.MANIFEST:
            return replace(
                now,
                algorithm=Tally(0, _count(event, "algorithm")),
                datasets=Tally(0, _count(event, "datasets")),
                approved=Tally(0, _count(event, "approvals")),
                fetched=Tally(0, _count(event, "consumers")),
            )
        if event.kind is EventKind.ASSET:
            if event.detail.get("kind") == "dataset":
                return replace(now, datasets=self.datasets.one_more())
            return replace(now, algorithm=self.algorithm.one_more())
        if event.kind is EventKind.RUN_STARTED:
            return replace(now, started=event.uptime, seconds=0)
        if event.kind is EventKind.APPROVED:
            return replace(now, approved=self.approved.one_more())
        if event.kind in (EventKind.RESULT_CONSUMED, EventKind.RESULT_PREVIEWED):
            return replace(now, fetched=self.fetched.one_more())
        return now.at(event.uptime) if event.kind is EventKind.RUN_FINISHED else now

    def at(self, uptime: int) -> Self:
        """The progress at an uptime in milliseconds, if nothing else has happened: a run goes on."""
        running = self.state is State.RUNNING
        return replace(self, seconds=max(0, uptime - self.started) // 1000) if running else self


def totals(manifest: Manifest) -> dict[str, str]:
    """The numbers in the event of a manifest, from which readers of the log know how much is missing."""
    datasets = len(manifest.datasets)
    return {
        "algorithm": str(len(manifest.assets()) - datasets),
        "datasets": str(datasets),
        "consumers": str(len(manifest.results.recipients)),
        **({"approvals": str(len(manifest.results.approvers))} if manifest.results.approval is not None else {}),
    }


def format_elapsed(seconds: int) -> str:
    """``1:12``, ``2:03:04``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _count(event: Event, name: str) -> int:
    return text.decimal(event.detail.get(name, ""), _DIGITS) or 0
