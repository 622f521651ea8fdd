"""Makes evidence of this machine, and keeps the log of what the agent measured."""

import secrets
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.operations.operations import Operations
from agent_runtime.platform.machine import PlatformMachine
from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.errors import TpmError
from cloister.attestation.evidence import Evidence
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.protocol import signingkey, transcript
from cloister.protocol.bootconfig import BootConfiguration


class Attester:
    """Measures and makes evidence, one at a time, so that evidence always matches the runtime log in it."""

    def __init__(
        self,
        machine: PlatformMachine,
        *,
        event_log_key: bytes,
        boot_configuration: BootConfiguration,
        limits: Limits,
        operations: Operations,
    ) -> None:
        """Measure the boot configuration, then the agent's key. ``event_log_key`` is its SPKI."""
        self.platform = machine.platform
        self.event_log_key = event_log_key
        self._machine = machine
        self._operations = operations
        self._boot_configuration = boot_configuration
        self._lock = threading.Lock()
        self._queue = _EvidenceQueue(limits.quote_queue, limits.quote_wait_seconds)
        self._log: tuple[Measurement, ...] = ()
        self._manifest: bytes | None = None
        self._unsure = False
        self._measure(MeasurementKind.BOOT_CONFIGURATION, boot_configuration.digest())
        self._measure(MeasurementKind.AGENT, bytes.fromhex(signingkey.key_id(event_log_key)))

    @property
    def manifest_digest(self) -> bytes:
        """The measured manifest's digest, or 32 zero bytes before one is measured."""
        return self._manifest or transcript.NO_MANIFEST

    def measure_manifest(self, digest: bytes) -> None:
        """Measure the one manifest of this boot. Raises CallRefusal ALREADY_SUBMITTED, NO_EVIDENCE."""
        with self._lock, self._refused():
            if self._manifest is not None:
                raise CallRefusal(Reason.ALREADY_SUBMITTED, "This machine has already measured a manifest.")
            self._measure(MeasurementKind.MANIFEST, digest)
            self._manifest = digest

    def for_session(self, *, nonce: bytes, tls_key_digest: bytes, hpke_key_digest: bytes) -> Evidence:
        """Evidence for opening a session.

        Raises CallRefusal NO_EVIDENCE, or BUSY if too many wait (:class:`_EvidenceQueue`).
        """
        with self._queue.turn(), self._lock, self._refused():
            binding = SessionBinding(nonce, tls_key_digest, hpke_key_digest, self._manifest)
            return self._collect(binding)

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of PCRs in the SHA-256 bank. Empty if the platform's evidence has no PCRs.

        Raises CallRefusal NO_EVIDENCE.
        """
        with self._refused():
            return self._machine.pcrs(indices)

    def for_receipt(self, *, payload_digest: bytes, log_head: bytes) -> Evidence:
        """Evidence over a computation's receipt. Raises CallRefusal NO_EVIDENCE."""
        with self._lock, self._refused():
            return self._collect(ReceiptBinding(payload_digest, self.manifest_digest, log_head))

    def _measure(self, kind: MeasurementKind, digest: bytes) -> None:
        measurement = Measurement(kind, digest)
        try:
            self._machine.measure(measurement)
        except TpmError:
            raise  # the TPM refused the command, so the register is as before
        except BaseException:
            self._unsure = True
            raise
        self._log += (measurement,)

    @contextmanager
    def _refused(self) -> Generator[None]:
        """Turn a failure of the machine into a refusal. When a measurement may or may not have taken effect, no later
        evidence could match the runtime log, so none is made.
        """
        if self._unsure:
            raise CallRefusal(Reason.NO_EVIDENCE, self._operations.evidence_problem)
        with self._operations.making_evidence():
            yield

    def _collect(self, binding: SessionBinding | ReceiptBinding) -> Evidence:
        evidence = Evidence(
            platform=self.platform,
            binding=binding,
            event_log_key=self.event_log_key,
            boot_configuration=self._boot_configuration.encode(),
            runtime_log=self._log,
        )
        return replace(evidence, **vars(self._machine.attest(evidence.report_data())))


class _EvidenceQueue:
    """A queue for evidence. The next call is drawn at random from those that wait.

    When the queue is full, one call is dropped at random; it may be the newest. A peer that keeps the queue full thus
    gets its share of the calls and cannot keep others out.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._current: object | None = None

    @contextmanager
    def turn(self) -> Generator[None]:
        """Wait for a turn. Raises CallRefusal BUSY when the call is dropped or waits too long."""
        ticket = object()
        with self._changed:
            if self._current is None:
                self._current = ticket
            else:
                self._wait(ticket)
        try:
            yield
        finally:
            with self._changed:
                self._current = self._draw() if self._waiting else None
                self._changed.notify_all()

    def _wait(self, ticket: object) -> None:
        self._waiting.append(ticket)
        if len(self._waiting) > self._limit:
            self._draw()
            self._changed.notify_all()
        self._changed.wait_for(lambda: ticket not in self._waiting, self._seconds)
        if ticket is not self._current:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            raise CallRefusal(Reason.BUSY, "The machine is making evidence for other sessions. Try again in a moment.")

    def _draw(self) -> object:
        return self._waiting.pop(secrets.randbelow(len(self._waiting)))
