"""What parties get of a run, and when: ciphertext, keys, receipt and logs.

The caller holds the lifecycle's lock, so that nothing is handed out that an event before has ended.
"""

from collections.abc import Iterator
from dataclasses import replace

from agent_runtime.computation import authorization
from agent_runtime.computation.logs import ReadableLogs
from agent_runtime.computation.receipt import SignedReceipt
from agent_runtime.computation.results import ResultSlots
from agent_runtime.computation.run import Run
from agent_runtime.computation.state import Lifecycle
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.rpc.session import BoundSession
from cloister.protocol.events import EventKind, State
from cloister.protocol.progress import FINAL_STATES


class Delivery:
    """What one computation delivers. Every method but ``is_released`` needs the lock."""

    def __init__(self, lifecycle: Lifecycle, run: Run, slots: ResultSlots) -> None:
        self._lifecycle = lifecycle
        self._run = run
        self._slots = slots

    def require_slot(self, consumer: str, session: BoundSession) -> None:
        """Raises CallRefusal unless results are released and the slot belongs to this session's party."""
        lifecycle = self._lifecycle
        authorization.require_consumer(session, consumer, lifecycle.require_manifest())
        if lifecycle.detail == Reason.EXPIRED and not self._slots.consumed_at(consumer):
            raise CallRefusal(Reason.EXPIRED, "The result expired before it was fetched, and was deleted.")
        if lifecycle.state not in (State.CONSUMING, State.COMPLETE) and not self._is_preview(consumer):
            raise lifecycle.not_ready("There is no result")

    def is_released(self, consumer: str) -> bool:
        """Return whether the slot of a consumer can be fetched now, if its key was not released yet."""
        return self._lifecycle.state is State.CONSUMING or self._is_preview(consumer)

    def _is_preview(self, consumer: str) -> bool:
        """Whether a party may fetch its slot before it decides on the result."""
        manifest, state = self._lifecycle.manifest, self._lifecycle.state
        return state is State.APPROVAL and manifest is not None and consumer in manifest.results.readers

    def ciphertext(self, consumer: str, offset: int, session: BoundSession) -> tuple[int, Iterator[bytes]]:
        """Size of a consumer's slot, and its bytes from ``offset`` on.

        Raises CallRefusal CONSUMED or MALFORMED, and those of :meth:`require_slot`.
        """
        self.require_slot(consumer, session)
        return self._slots.size(consumer), self._slots.read(consumer, offset)

    def release_key(self, consumer: str, digest: bytes, session: BoundSession) -> bytes:
        """Release the key of a slot, once. ``digest`` shows that the consumer has the whole ciphertext."""
        lifecycle = self._lifecycle
        self.require_slot(consumer, session)
        if consumer in session.released:
            return session.released[consumer]
        self._slots.check_digest(consumer, digest)
        preview = lifecycle.state is State.APPROVAL
        kind = EventKind.RESULT_PREVIEWED if preview else EventKind.RESULT_CONSUMED
        event = lifecycle.append(kind, actor=session.key_id, detail={"consumer": consumer})
        key = self._slots.release(consumer, event.time)
        session.released[consumer] = key
        if not preview and self._slots.all_released():
            lifecycle.end(State.COMPLETE, EventKind.COMPLETED)
        return key

    def receipt(self, session: BoundSession) -> SignedReceipt:
        """The receipt and its evidence. Only for those who receive the result: the algorithm chose its files' names."""
        authorization.require_role(session, authorization.CONSUMER)
        if self._run.receipt is None or self._lifecycle.withheld:
            raise self._lifecycle.not_ready("There is no receipt")
        return self._run.receipt

    def logs(self, session: BoundSession, *, follow: bool) -> ReadableLogs:
        """Return what the manifest lets this session read of the logs now.

        Log readers only, whatever other roles a key has.

        Raises CallRefusal NOT_READY when that is nothing yet, but not with ``follow``.
        """
        lifecycle, logs = self._lifecycle, self._run.logs
        manifest, state = lifecycle.require_manifest(), lifecycle.state
        authorization.require_reader(session, manifest)
        if logs.wiped:
            raise lifecycle.not_ready("The logs are wiped and cannot be read")
        if lifecycle.withheld:
            if not follow or lifecycle.ended is not None:
                raise lifecycle.not_ready("The logs are held back until the result is approved, and it is not")
            return logs.closed()
        now = logs.live() if manifest.logs.release == "live" else logs.closed()
        if state is State.CONSUMING or state in FINAL_STATES:
            # After a stop, the runner may still replace what only a look at the end shows.
            return replace(now, ending=True) if self._run.writing else logs.whole()
        if state is State.RUNNING and manifest.logs.release == "live":
            return now
        if not follow:
            raise lifecycle.not_ready("The logs are not available")
        return logs.closed()
