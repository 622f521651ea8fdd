"""What the agent knows of itself, for health, notices, metrics and its log."""

import contextlib
import threading
from collections.abc import Callable, Generator

from agent_runtime.clock import Clock
from agent_runtime.errors import CallRefusal, Reason, as_refusal, fault_location
from agent_runtime.operations.clockwatch import ClockWatch
from agent_runtime.operations.counters import AgentCounters, CallOutcome
from agent_runtime.operations.journal import Journal, JournalEvent
from cloister.attestation.errors import TpmError
from cloister.errors import CloisterError

_LOCKOUT = 0x921
"""TPM_RC_LOCKOUT (TPM 2.0 part 2, section 6.6.3): too many wrong passwords, from whatever program."""


class Operations:
    """Counters, log and clock watch, and whether the agent can make evidence and is being stopped."""

    def __init__(self, clock: Clock, write: Callable[[str], object] = lambda line: print(line, flush=True)) -> None:
        self.counters = AgentCounters()
        self.journal = Journal(clock, write)
        self.clock_watch = ClockWatch(
            clock, lambda seconds: self.journal.add(JournalEvent.CLOCK_MOVED, seconds=f"{seconds:.0f}")
        )
        self.stopping = threading.Event()
        """Set when the agent is being stopped."""

        self.evidence_problem = ""
        """Why the last evidence could not be made, as a sentence; empty if it was made."""

    def follow(self, is_running: Callable[[], bool], has_run: Callable[[], bool]) -> None:
        """Learn from now on whether an algorithm runs, and whether one ever began to."""
        self.counters.is_running = self.journal.is_running = is_running
        self.counters.has_run = has_run

    @contextlib.contextmanager
    def making_evidence(self) -> Generator[None]:
        """Count the evidence or measurement of the block. Raises CallRefusal NO_EVIDENCE when the platform fails."""
        try:
            with self.counters.evidence():
                yield
        except CallRefusal:
            raise
        except (CloisterError, OSError) as error:
            self.evidence_problem = _sentence(error)
            self.journal.add(JournalEvent.NO_EVIDENCE, why=self.evidence_problem)
            raise CallRefusal(Reason.NO_EVIDENCE, self.evidence_problem) from error
        if self.evidence_problem:
            self.evidence_problem = ""
            self.journal.add(JournalEvent.EVIDENCE_AGAIN)

    def fault(self, where: str, error: BaseException) -> None:
        """Log a fault: its place, and not its text, which may have a party's data."""
        self.journal.add(JournalEvent.FAULT, where=where, fault=fault_location(error))

    def call_ended(self, method: str, outcome: CallOutcome, refusal: CallRefusal | None) -> None:
        """Count the end of a call, and log a refusal; ``outcome`` is that of a call without one."""
        if refusal is None:
            self.counters.call_ended(method, outcome)
        elif refusal.reason is Reason.INTERNAL:
            self.counters.call_ended(method, CallOutcome.FAULT)
        else:
            self.counters.call_ended(method, CallOutcome.REFUSED, refusal.reason)
            self.journal.add(JournalEvent.REFUSED, method=method, reason=refusal.reason)

    def refusal_of(self, method: str, error: Exception) -> CallRefusal:
        """Log a fault of a call or of the run. Returns what peers are told, which has nothing of the fault's text."""
        known = as_refusal(error)
        if known is None:
            self.fault(method, error)
            return CallRefusal(Reason.INTERNAL, "The call failed inside the agent.")
        if known.reason is Reason.STORE_FULL:
            self.journal.add(JournalEvent.STORE_FULL, method=method)
        return known

    def notices(self) -> tuple[str, ...]:
        """What every party should know of this machine now: a sentence each."""
        return (*self.clock_watch.notices(), *([self.evidence_problem] if self.evidence_problem else []))


def _sentence(error: CloisterError | OSError) -> str:
    if isinstance(error, TpmError) and error.code == _LOCKOUT:
        return (
            f"The machine cannot make evidence: its TPM is in lockout and refuses {error.command} "
            f"(code {error.code:#x}); it recovers after a time that the TPM decides."
        )
    if isinstance(error, TpmError):
        return f"The machine cannot make evidence: its TPM refuses {error.command} with code {error.code:#x}."
    if isinstance(error, OSError):
        return f"The machine cannot make evidence: {error.strerror or 'its TPM does not answer'}."
    return f"The machine cannot make evidence: {error.message}"
