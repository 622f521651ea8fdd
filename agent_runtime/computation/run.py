"""The run of the computation, in a thread of its own: from the runner's start to the slots that its result fills.

It waits without the lock, and may find after each wait that somebody has ended the computation meanwhile.
"""

import threading
from pathlib import Path

from agent_runtime.computation.consents import Consents
from agent_runtime.computation.context import Parts
from agent_runtime.computation.job_from_manifest import job_of
from agent_runtime.computation.logs import Output
from agent_runtime.computation.receipt import Proof, prepare
from agent_runtime.computation.state import Life
from agent_runtime.errors import AgentError, told
from agent_runtime.runner.protocol import Outcome
from cloister.errors import CloisterError
from cloister.protocol.events import EventKind, State
from cloister.protocol.manifest import Manifest

_INTERNAL = "INTERNAL"


class Execution:
    """``output`` is what the algorithm prints, ``proof`` there once results are; both are read freely."""

    def __init__(self, parts: Parts, life: Life, consents: Consents) -> None:
        self._parts = parts
        self._life = life
        self._consents = consents
        self._manifest_bytes = b""
        self._expires: float | None = None
        self.output = Output(parts.runner.output, 0)
        self.proof: Proof | None = None

    def expect(self, manifest: Manifest, data: bytes) -> None:
        """``data`` are the manifest's bytes as they were submitted: they travel in the result."""
        self._manifest_bytes = data
        self.output = Output(self._parts.runner.output, manifest.logs.max_size)

    def start(self) -> None:
        """Once the computation is in the state Running."""
        threading.Thread(target=self._carry_out, name="run", daemon=True).start()

    def expired(self) -> bool:
        """Whether there are results whose time is over."""
        return self._expires is not None and self._parts.clock.uptime() >= self._expires

    def _carry_out(self) -> None:
        """Whatever happens, the computation gets out of the state Running."""
        try:
            self._run_to_end()
        except Exception as error:  # noqa: BLE001 - a thread that dies would leave the parties waiting for ever
            print(f"the run failed: {told(error)}", flush=True)
            self._life.fail(_INTERNAL)

    def _run_to_end(self) -> None:
        life = self._life
        manifest = life.known_manifest()
        with self._parts.runner.start(job_of(manifest)) as run:
            with life.lock:
                if life.state is not State.RUNNING:
                    return
                life.run = run
            outcome = run.outcome()
            self.output.open()
            with life.lock:
                life.run = None
                if life.state is not State.RUNNING:
                    return
                life.append(EventKind.RUN_FINISHED, detail={"outcome": outcome.value})
            if outcome is not Outcome.OK:
                life.fail(outcome.value)
                return
            self._fill_slots(manifest, self._parts.runner.results)

    def _fill_slots(self, manifest: Manifest, folder: Path) -> None:
        parts, life = self._parts, self._life
        try:
            proof, members = prepare(
                folder,
                parts,
                manifest=manifest,
                manifest_bytes=self._manifest_bytes,
                consents=self._consents.all(),
            )
        except (AgentError, ValueError, CloisterError):
            life.fail(Outcome.RESULT_INVALID.value)
            return
        parts.slots.fill(manifest.results.consumers, members)
        with life.lock:
            if life.state is not State.RUNNING:
                life.discard(parts.slots)
                return
            self.proof = proof
            self._expires = parts.clock.uptime() + manifest.results.expires
            life.state = State.CONSUMING
            # The algorithm and its data have done their service.
            life.append_wiped(EventKind.RESULTS_READY, parts.store, detail={"receipt": proof.payload_digest.hex()})
