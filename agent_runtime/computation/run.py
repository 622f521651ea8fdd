"""Runs the algorithm in its own thread: starts the runner, waits, and fills the slots with the result.

It waits without the lock, so the computation may have ended after each wait.
"""

import errno
import threading
from pathlib import Path

from agent_runtime.computation.consents import Consents
from agent_runtime.computation.context import ComputationContext
from agent_runtime.computation.job_from_manifest import build_job
from agent_runtime.computation.logs import Logs
from agent_runtime.computation.receipt import SignedReceipt, build_receipt
from agent_runtime.computation.state import Lifecycle
from agent_runtime.errors import AgentError, CallRefusal
from agent_runtime.runner.protocol import RunOutcome
from cloister.errors import CloisterError
from cloister.protocol.events import EventKind, State
from cloister.protocol.manifest import Manifest

_UNREADABLE = (errno.EIO, errno.EILSEQ, errno.EUCLEAN)
"""How reading fails if the disk does not answer, its bytes are not authentic, or a file system makes no sense."""


class Run:
    """``logs`` and ``writing`` may be read without a lock, ``receipt`` with it. That is set when results are ready.

    It is the ``output`` of its lifecycle.

    ``writing``: the runner has not ended, so what it keeps of the output may still change.
    """

    def __init__(self, context: ComputationContext, lifecycle: Lifecycle, consents: Consents) -> None:
        self._context = context
        self._lifecycle = lifecycle
        self._consents = consents
        self._manifest_bytes = b""
        self._expires: float | None = None
        self.logs = Logs(context.runner.output, 0)
        self.receipt: SignedReceipt | None = None
        self.writing = False
        lifecycle.output = self

    def wipe(self) -> None:
        """Delete the receipt, and let no one read the logs any more. The lock is held."""
        self.receipt = None
        self.logs.wipe()

    def expect(self, manifest: Manifest, data: bytes) -> None:
        """Set the manifest. ``data`` are its bytes as submitted, which the result contains."""
        self._manifest_bytes = data
        self.logs = Logs(self._context.runner.output, manifest.logs.max_size)

    def start(self) -> None:
        """Start the run. The computation must be in the state Running."""
        self.writing = True
        threading.Thread(target=self._execute, name="run", daemon=True).start()

    def expired(self) -> bool:
        """Return whether there are results and they have expired."""
        return self._expires is not None and self._context.clock.uptime() >= self._expires

    def _execute(self) -> None:
        """Run. The computation leaves the state Running even after a fault."""
        try:
            self._run_to_end()
        except Exception as error:  # noqa: BLE001 - a thread that dies would let the parties wait forever
            # When the computation has ended, what the run still needed is gone.
            if self._lifecycle.is_running():
                self._lifecycle.fail(self._context.operations.refusal_of("run", error).reason)
        finally:
            self.writing = False

    def _run_to_end(self) -> None:
        lifecycle = self._lifecycle
        manifest = lifecycle.require_manifest()
        try:
            scratch = self._context.store.seal(int(self._context.clock.now().timestamp()))
        except OSError:
            lifecycle.fail(RunOutcome.SCRATCH.value)
            return
        try:
            handle = self._context.runner.start(build_job(manifest, scratch))
        except AgentError:
            lifecycle.fail(RunOutcome.LAUNCH.value)
            return
        with handle as run:
            with lifecycle.lock:
                if lifecycle.state is not State.RUNNING:
                    return
                lifecycle.end_run = run.stop
            outcome = run.outcome()
            self.logs.open()
            self.writing = False
            with lifecycle.lock:
                # From now on, the end of the computation deletes the run's files at once.
                lifecycle.end_run = run.close
                if lifecycle.state is not State.RUNNING:
                    return
                lifecycle.append(EventKind.RUN_FINISHED, detail={"outcome": outcome.value})
            if outcome is not RunOutcome.OK:
                lifecycle.fail(outcome.value)
                return
            try:
                self._fill_slots(manifest, self._context.runner.results)
            except OSError as error:
                # Where the results are on the scratch disk, the host decides what reading them returns.
                if not manifest.limits.scratch or error.errno not in _UNREADABLE:
                    raise
                lifecycle.fail(RunOutcome.SCRATCH.value)

    def _fill_slots(self, manifest: Manifest, folder: Path) -> None:
        context, lifecycle = self._context, self._lifecycle
        try:
            receipt, members = build_receipt(
                folder,
                context,
                manifest=manifest,
                manifest_bytes=self._manifest_bytes,
                consents=self._consents.all(),
            )
        except CallRefusal:
            raise  # the machine's fault, not that of the result
        except (AgentError, ValueError, CloisterError):
            lifecycle.fail(RunOutcome.RESULT_INVALID.value)
            return
        context.slots.fill(manifest.results.recipients, members)
        with lifecycle.lock:
            if lifecycle.state is not State.RUNNING:
                lifecycle.discard(context.slots)
                return
            # Algorithm and datasets are no longer needed.
            lifecycle.append_wiped(
                EventKind.RESULTS_READY,
                context.store,
                detail={"receipt": receipt.payload_digest.hex()},
                state=State.APPROVAL if lifecycle.withheld else State.CONSUMING,
            )
            self.receipt = receipt
            self._expires = context.clock.uptime() + manifest.results.expires
            lifecycle.end_run = None
