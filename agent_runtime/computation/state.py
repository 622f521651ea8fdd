"""The state of the computation. Each step appends an event to the log."""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from agent_runtime.computation.context import ComputationContext
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.runner.protocol import RunnerOperation
from cloister.protocol.events import Event, EventKind, State
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import FINAL_STATES, ComputationProgress

_CLOSING = frozenset({EventKind.RESULT_PREVIEWED, EventKind.RESULT_CONSUMED, EventKind.EXPIRED})
"""Events before the end after which no provider can withdraw."""


class Wipeable(Protocol):
    """A place of data."""

    def wipe(self) -> None:
        """Delete the data. Raises OSError when some remains."""


class Lifecycle:
    """``state``, ``detail``, ``manifest`` and ``progress`` may be read without a lock; a change must hold ``lock``.

    ``end_run`` ends what is left of the run, if there is one; it is called when the computation ends. ``progress`` is
    that of the events so far. ``output`` is what parties may read after the end: receipt and logs. ``closed`` is the
    first event after which no provider can withdraw, ``ended`` the one that ended the computation. ``approved``: every
    party that must approve the result has done so.
    """

    def __init__(self, context: ComputationContext) -> None:
        self._context = context
        self.lock = threading.RLock()
        self.state = State.IDLE
        self.detail = ""
        self.manifest: Manifest | None = None
        self.end_run: Callable[[], None] | None = None
        self.progress = ComputationProgress()
        self.output: Wipeable | None = None
        self.approved = False
        self.closed: Event | None = None
        self.ended: Event | None = None
        self.append(EventKind.STARTED)

    @property
    def unfinished(self) -> bool:
        """Whether a computation has begun and not ended."""
        return self.state is not State.IDLE and self.state not in FINAL_STATES

    @property
    def withheld(self) -> bool:
        """Whether results and logs are held back, because the manifest demands approvals that are missing."""
        return self.manifest is not None and bool(self.manifest.results.approvers) and not self.approved

    def is_running(self) -> bool:
        """Return whether the algorithm runs."""
        return self.state is State.RUNNING

    def has_run(self) -> bool:
        """Return whether the algorithm runs or ran."""
        return self.is_running() or self.progress.started > 0

    def require_manifest(self) -> Manifest:
        """The manifest. Raises CallRefusal NOT_READY before one is submitted."""
        if self.manifest is None:
            raise CallRefusal(Reason.NOT_READY, "No manifest has been submitted.", state=self.state.value)
        return self.manifest

    def not_ready(self, message: str) -> CallRefusal:
        """The refusal of a step that the state does not allow; ``message`` is followed by "in the state X"."""
        return CallRefusal(
            Reason.NOT_READY,
            f"{message} in the state {self.progress.phase}{_since(self.ended)}.",
            state=self.state.value,
            **_came_first(self.ended),
        )

    def already_ended(self) -> CallRefusal:
        """The refusal of a stop after the end."""
        return CallRefusal(
            Reason.ALREADY_ENDED,
            f"The computation has ended: {self.progress.phase}{_since(self.ended)}.",
            state=self.state.value,
            **_came_first(self.ended),
        )

    def too_late(self, what: str, first: Event) -> CallRefusal:
        """The refusal of a party's decision, such as "The withdrawal", which ``first`` has made impossible."""
        return CallRefusal(
            Reason.TOO_LATE,
            f"{what} is too late: event {first.sequence} ({first.kind}) came first, at {first.time}.",
            state=self.state.value,
            **_came_first(first),
        )

    def append(
        self,
        kind: EventKind,
        *,
        actor: str | None = None,
        detail: dict[str, str] | None = None,
        state: State | None = None,
    ) -> Event:
        """Append an event, and return it. Then enter ``state``; None for the current one.

        In this order: what the log does not have has not happened.
        """
        digest = None if self.manifest is None else self.manifest.digest()
        event = self._context.log.append(kind, state or self.state, manifest=digest, actor=actor, detail=detail)
        self.state = event.state
        self.progress = self.progress.after(event)
        if event.state in FINAL_STATES and self.ended is None:
            self.ended = event
        if self.closed is None and (kind in _CLOSING or event.state in FINAL_STATES):
            self.closed = event
        return event

    def run_seconds(self) -> int:
        """Return how long the algorithm has run."""
        return self.progress.at(int(self._context.clock.uptime() * 1000)).seconds

    def append_wiped(
        self,
        kind: EventKind,
        *places: Wipeable,
        actor: str | None = None,
        detail: dict[str, str],
        state: State | None = None,
    ) -> None:
        """Delete data, then append the event as :meth:`append` does. If the deletion fails, the event says so and the
        machine powers off.

        All data is in memory, so powering off deletes it.
        """
        wiped = self._wipe(*places)
        self.append(kind, actor=actor, detail=detail if wiped else detail | {"wipe": "failed"}, state=state)
        if not wiped:
            self._power_off()

    def discard(self, place: Wipeable) -> None:
        """Delete data that arrived after the computation's end. If this fails, the machine powers off."""
        if not self._wipe(place):
            self._power_off()

    def end(
        self,
        state: State,
        kind: EventKind,
        *,
        actor: str | None = None,
        reason: str = "",
        detail: Mapping[str, str] | None = None,
        unread: bool = False,
    ) -> None:
        """Enter a final state and delete all data except event log, receipt and the algorithm's logs.

        With ``unread`` no one may read these two either, and they are deleted, too; so they are while they wait for
        approval. ``detail`` is that of the event; None for the reason.
        """
        # Before the event: whatever fails from here on, the computation has ended.
        self.state, self.detail = state, reason
        if self.end_run is not None:
            self.end_run()
        # What someone could read first, what takes longest last.
        places: list[Wipeable] = [self._context.slots, self._context.store]
        if (unread or self.withheld) and self.output is not None:
            places.insert(0, self.output)
        said = ({"reason": reason} if reason else {}) if detail is None else dict(detail)
        self.append_wiped(kind, *places, actor=actor, detail=said)

    def fail(self, reason: str) -> None:
        """Enter the state Failed, unless the computation has already ended."""
        with self.lock:
            if self.state is State.RUNNING:
                self.end(State.FAILED, EventKind.FAILED, reason=reason)

    def _power_off(self) -> None:
        self._context.runner.end_machine(RunnerOperation.POWER_OFF)

    def _wipe(self, *places: Wipeable) -> bool:
        """Whether everything was deleted."""
        wiped = True
        for place in places:
            try:
                place.wipe()
            except OSError as error:
                self._context.operations.fault("wipe", error)
                wiped = False
        return wiped


def _since(ended: Event | None) -> str:
    """Which event ended the computation, for a sentence; empty before the end."""
    return "" if ended is None else f" since event {ended.sequence} ({ended.kind}), at {ended.time}"


def _came_first(first: Event | None) -> dict[str, str]:
    """The event that made a call impossible, for the refusal's metadata."""
    return {} if first is None else {"event": first.kind.value, "sequence": str(first.sequence), "time": first.time}
