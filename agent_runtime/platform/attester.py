"""Evidence of this machine, and the log of what the agent measured."""

import secrets
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace

from agent_runtime.errors import Reason, Refusal
from agent_runtime.limits import Limits
from agent_runtime.platform.machine import PlatformMachine
from cloister.attestation.evidence import Evidence, ReceiptBinding, SessionBinding
from cloister.attestation.tpm.runtimelog import Kind, Measurement
from cloister.protocol import transcript
from cloister.protocol.bootconfig import BootConfiguration


class Attester:
    """Measures and attests, one at a time, so that each piece of evidence fits the runtime log that it carries."""

    def __init__(
        self,
        machine: PlatformMachine,
        *,
        event_log_key: bytes,
        boot_configuration: BootConfiguration,
        limits: Limits,
    ) -> None:
        """``event_log_key`` is the SPKI. Measures the boot configuration, then the agent's key."""
        self.platform = machine.platform
        self.event_log_key = event_log_key
        self._machine = machine
        self._boot_configuration = boot_configuration
        self._lock = threading.Lock()
        self._queue = _EvidenceQueue(limits.quote_queue, limits.quote_wait_seconds)
        self._log: tuple[Measurement, ...] = ()
        self._manifest: bytes | None = None
        self._measure(Kind.BOOT_CONFIGURATION, boot_configuration.digest())
        self._measure(Kind.AGENT, bytes.fromhex(transcript.key_id(event_log_key)))

    @property
    def manifest_digest(self) -> bytes:
        """Of the measured manifest, or 32 zero bytes."""
        return self._manifest or transcript.NO_MANIFEST

    def measure_manifest(self, digest: bytes) -> None:
        """Measure the one manifest of this boot."""
        with self._lock:
            if self._manifest is not None:
                raise Refusal(Reason.ALREADY_SUBMITTED, "This machine has measured its manifest already.")
            self._measure(Kind.MANIFEST, digest)
            self._manifest = digest

    def for_session(self, *, nonce: bytes, tls_key_digest: bytes, hpke_key_digest: bytes) -> Evidence:
        """Evidence for opening a session. Raises Refusal BUSY when too many are waiting (:class:`_EvidenceQueue`)."""
        with self._queue.turn(), self._lock:
            binding = SessionBinding(nonce, tls_key_digest, hpke_key_digest, self._manifest)
            return self._collect(binding)

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of registers that the evidence shows, SHA-256 bank."""
        return self._machine.pcrs(indices)

    def for_receipt(self, *, payload_digest: bytes, log_head: bytes) -> Evidence:
        """The last evidence of a computation, over its receipt."""
        with self._lock:
            return self._collect(ReceiptBinding(payload_digest, self.manifest_digest, log_head))

    def _measure(self, kind: Kind, digest: bytes) -> None:
        measurement = Measurement(kind, digest)
        self._machine.measure(measurement)
        self._log += (measurement,)

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
    """One stranger's turn after another, drawn by lot among those who wait.

    Who is too many is drawn by lot as well, the newcomer among them: somebody who keeps the queue full for ever has no
    better chance than his share of the calls, and nobody is kept out.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._current: object | None = None

    @contextmanager
    def turn(self) -> Generator[None]:
        """Wait for a turn, and have it. Raises Refusal BUSY when the lot falls otherwise or it takes too long."""
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
            raise Refusal(Reason.BUSY, "The machine is making evidence for others; try again in a moment.")

    def _draw(self) -> object:
        return self._waiting.pop(secrets.randbelow(len(self._waiting)))
