"""How far the machine's one computation has come: its state, and the event that each step leaves in the log."""

import threading

from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.context import ComputationContext
from agent_runtime.computation.results import ResultSlots
from agent_runtime.errors import Reason, Refusal, fault_location
from agent_runtime.runner.client import RunHandle
from agent_runtime.runner.protocol import RunnerOperation
from cloister.protocol.events import EventKind, State
from cloister.protocol.manifest import Manifest

ENDED = (State.COMPLETE, State.FAILED, State.STOPPED)


class Lifecycle:
    """``state``, ``detail`` and ``manifest`` are read freely. Whoever takes a step holds ``lock`` meanwhile.

    ``run`` is the run under way: it is stopped when the computation ends.
    """

    def __init__(self, context: ComputationContext) -> None:
        self._context = context
        self.lock = threading.RLock()
        self.state = State.IDLE
        self.detail = ""
        self.manifest: Manifest | None = None
        self.run_handle: RunHandle | None = None
        self.append(EventKind.STARTED)

    @property
    def unfinished(self) -> bool:
        """Whether there is a computation that has not ended."""
        return self.state is not State.IDLE and self.state not in ENDED

    def require_manifest(self) -> Manifest:
        """Raises Refusal NOT_READY before one is submitted."""
        if self.manifest is None:
            raise Refusal(Reason.NOT_READY, "No manifest is submitted yet.", state=self.state.value)
        return self.manifest

    def not_ready(self, said: str) -> Refusal:
        """Of a step that the state does not allow; ``said`` goes before "in the state"."""
        return Refusal(Reason.NOT_READY, f"{said} in the state {self.state.value}.", state=self.state.value)

    def append(self, kind: EventKind, *, actor: str | None = None, detail: dict[str, str] | None = None) -> str:
        """Add an event with the state as it is now; the event's time."""
        digest = None if self.manifest is None else self.manifest.digest()
        return self._context.log.append(kind, self.state, manifest=digest, actor=actor, detail=detail).time

    def append_wiped(
        self, kind: EventKind, *places: AssetStore | ResultSlots, actor: str | None = None, detail: dict[str, str]
    ) -> None:
        """Wipe, then add the event. When something is left it says so, and the machine ends: it is all in memory."""
        wiped = _wipe(*places)
        self.append(kind, actor=actor, detail=detail if wiped else detail | {"wipe": "failed"})
        if not wiped:
            self._power_off()

    def discard(self, place: AssetStore | ResultSlots) -> None:
        """Wipe what came after the computation's end. When something is left the machine ends."""
        if not _wipe(place):
            self._power_off()

    def end(self, state: State, kind: EventKind, *, actor: str | None = None, detail: str = "") -> None:
        """Into a state for good, wiping everything but the log, the receipt and what the algorithm printed."""
        self.state, self.detail = state, detail
        if self.run_handle is not None:
            self.run_handle.stop()
        places = self._context.store, self._context.slots
        self.append_wiped(kind, *places, actor=actor, detail={"reason": detail} if detail else {})

    def fail(self, reason: str) -> None:
        """The run has come to nothing, unless somebody has ended it before."""
        with self.lock:
            if self.state is State.RUNNING:
                self.end(State.FAILED, EventKind.FAILED, detail=reason)

    def _power_off(self) -> None:
        self._context.runner.end_machine(RunnerOperation.POWER_OFF)


def _wipe(*places: AssetStore | ResultSlots) -> bool:
    """Whether nothing is left of what was there."""
    wiped = True
    for place in places:
        try:
            place.wipe()
        except OSError as error:
            print(f"the wipe failed: {fault_location(error)}", flush=True)
            wiped = False
    return wiped
