"""The state of the computation. Each step appends an event to the log."""

import threading
from collections.abc import Callable

from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.context import ComputationContext
from agent_runtime.computation.results import ResultSlots
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.runner.protocol import RunnerOperation
from cloister.protocol.events import EventKind, State
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import FINAL_STATES, ComputationProgress


class Lifecycle:
    """``state``, ``detail``, ``manifest`` and ``progress`` may be read without a lock; a change must hold ``lock``.

    ``end_run`` ends what is left of the run, if there is one; it is called when the computation ends. ``progress`` is
    that of the events so far.
    """

    def __init__(self, context: ComputationContext) -> None:
        self._context = context
        self.lock = threading.RLock()
        self.state = State.IDLE
        self.detail = ""
        self.manifest: Manifest | None = None
        self.end_run: Callable[[], None] | None = None
        self.progress = ComputationProgress()
        self.append(EventKind.STARTED)

    @property
    def unfinished(self) -> bool:
        """Whether a computation has begun and not ended."""
        return self.state is not State.IDLE and self.state not in FINAL_STATES

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
        return CallRefusal(Reason.NOT_READY, f"{message} in the state {self.progress.phase}.", state=self.state.value)

    def append(self, kind: EventKind, *, actor: str | None = None, detail: dict[str, str] | None = None) -> str:
        """Append an event with the current state. Returns the event's time."""
        digest = None if self.manifest is None else self.manifest.digest()
        event = self._context.log.append(kind, self.state, manifest=digest, actor=actor, detail=detail)
        self.progress = self.progress.after(event)
        return event.time

    def run_seconds(self) -> int:
        """Return how long the algorithm has run."""
        return self.progress.at(int(self._context.clock.uptime() * 1000)).seconds

    def append_wiped(
        self, kind: EventKind, *places: AssetStore | ResultSlots, actor: str | None = None, detail: dict[str, str]
    ) -> None:
        """Delete data, then append the event. If the deletion fails, the event says so and the machine powers off.

        All data is in memory, so powering off deletes it.
        """
        wiped = self._wipe(*places)
        self.append(kind, actor=actor, detail=detail if wiped else detail | {"wipe": "failed"})
        if not wiped:
            self._power_off()

    def discard(self, place: AssetStore | ResultSlots) -> None:
        """Delete data that arrived after the computation's end. If this fails, the machine powers off."""
        if not self._wipe(place):
            self._power_off()

    def end(self, state: State, kind: EventKind, *, actor: str | None = None, detail: str = "") -> None:
        """Enter a final state and delete all data except event log, receipt and the algorithm's logs."""
        self.state, self.detail = state, detail
        if self.end_run is not None:
            self.end_run()
        places = self._context.store, self._context.slots
        self.append_wiped(kind, *places, actor=actor, detail={"reason": detail} if detail else {})

    def fail(self, reason: str) -> None:
        """Enter the state Failed, unless the computation has already ended."""
        with self.lock:
            if self.state is State.RUNNING:
                self.end(State.FAILED, EventKind.FAILED, detail=reason)

    def _power_off(self) -> None:
        self._context.runner.end_machine(RunnerOperation.POWER_OFF)

    def _wipe(self, *places: AssetStore | ResultSlots) -> bool:
        """Whether everything was deleted."""
        wiped = True
        for place in places:
            try:
                place.wipe()
            except OSError as error:
                self._context.operations.fault("wipe", error)
                wiped = False
        return wiped
