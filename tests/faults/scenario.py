"""Computations under faults, all drawn from one seed: machines, steps, kinds and points."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from cloister.client.computation import asset_upload, events
from cloister.client.connection import opening, refusal
from cloister.client.connection.session import Session
from cloister.client.result import download
from cloister.errors import CloisterError, UnreachableError
from cloister.protocol.events import EventKind
from tests.faults.computation import CONSUMERS, STEPS, Computation, Step, parties_with_files
from tests.faults.faults import KINDS, Attempt, FaultKind
from tests.faults.guest_machine import guest_machine
from tests.faults.invariants import Invariants

LIMITS = {"first_frame_seconds": 3, "idle_stream_seconds": 3}
"""Limits of the agent: a peer that keeps it waiting is dropped sooner than on a real machine."""

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)
_MOST_ATTEMPTS = 3
"""How often an honest party runs its command, when it is told to run it again."""

_ENDS = {EventKind.WITHDRAWN: "WITHDRAWN", EventKind.REJECTED: "REJECTED"}
"""What a party's decision spoils."""

Started = Callable[[Path], AbstractContextManager[Computation]]
"""Starts a machine for a computation in an empty folder."""


@contextmanager
def on_guest_machine(folder: Path) -> Iterator[Computation]:
    """A computation on a machine of processes."""
    parties = parties_with_files(folder / "parties")
    with guest_machine(folder / "guest", (parties.keys["lab"].id,), limits=LIMITS) as guest:
        yield Computation.prepare(guest, parties)


class Scenario:
    """Computations one after the other until so many faults have happened. ``history`` tells them in order.

    Each computation has a machine of its own, and before each of its steps come at most ``per_step`` faults. ``again``
    is how likely one more comes after the step has succeeded in spite of one: doing it twice does no harm.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        started: Started = on_guest_machine,
        kinds: Sequence[FaultKind] = KINDS,
        per_step: int = 3,
        again: float = 0.3,
    ) -> None:
        self.chance = random.Random(f"cloister faults {seed}")
        self.kinds = kinds
        self.per_step = per_step
        self.again = again
        self._folder = folder
        self._started = started
        self._machines = 0
        self.history: list[str] = []
        self.faults = 0

    def run(self, faults: int) -> None:
        """Carry out computations until ``faults`` faults have happened."""
        with _short_pauses():
            while self.faults < faults:
                self._computation(faults)

    def _computation(self, faults: int) -> None:
        folder = self._folder / f"machine-{self._machines}"
        folder.mkdir()
        self._machines += 1
        with (
            self._started(folder) as computation,
            computation.connection("lab", computation.guest.address) as observer,
        ):
            invariants = Invariants(computation.guest, computation.manifest, observer)
            with _every_key(invariants):
                _Course(self, computation, invariants).run(faults)


class _Course:
    """One computation from the first step to the last, or to the end of its machine."""

    def __init__(self, scenario: Scenario, computation: Computation, invariants: Invariants) -> None:
        self._scenario = scenario
        self._computation = computation
        self._invariants = invariants
        self._chance = scenario.chance
        self._done = False
        self._spoils: set[str] = set()
        self._lost: set[str] = set()
        """Steps whose result went to a client that was killed."""

    def run(self, faults: int) -> None:
        for step in STEPS:
            self._done = False
            for _ in range(self._chance.randint(0, self._scenario.per_step)):
                if self._done or self._scenario.faults == faults:
                    break
                if not self._under_fault(step):
                    return
            if not self._honest(step):
                return

    def _under_fault(self, step: Step) -> bool:
        """One attempt under one fault. Whether the machine still has an agent."""
        kinds = [kind for kind in self._scenario.kinds if kind.where(step)]
        (kind,) = self._chance.choices(kinds, [kind.weight for kind in kinds])
        began = time.monotonic()
        attempt = kind.attempt(self._computation, step, self._chance)
        self._note(step, kind, attempt, time.monotonic() - began)
        if attempt.happened:
            self._scenario.faults += 1
        succeeded = attempt.error is None and not attempt.killed
        self._done = succeeded and self._chance.random() >= self._scenario.again
        self._spoils |= attempt.spoils
        if attempt.killed or attempt.error is not None:
            self._lost.add(step.name)
        if attempt.error is not None:
            check_sentence(attempt.error)
        self._check()
        if attempt.gone:
            self._check_gone(step)
        return not attempt.gone

    def _check(self) -> None:
        folder = self._computation.machine.parties.folder
        self._invariants.found_key_files(folder, CONSUMERS)
        self._invariants.check()

    def _note(self, step: Step, kind: FaultKind, attempt: Attempt, seconds: float) -> None:
        if not attempt.happened:
            end = "was not reached"
        elif attempt.killed:
            end = "killed"
        else:
            end = "succeeded" if attempt.error is None else f"{type(attempt.error).__name__}: {attempt.error}"
        self._scenario.history.append(f"{step.name}, {kind.name}, {seconds:.1f} s: {end}")

    def _check_gone(self, step: Step) -> None:
        """Without an agent, every party is told that the machine cannot be reached."""
        with pytest.raises(UnreachableError) as caught:
            step.by_api(self._computation, self._computation.guest.address)
        check_sentence(caught.value)

    def _honest(self, step: Step) -> bool:
        """The step without a fault: it succeeds, or says why the computation cannot go on. Whether it can."""
        for attempt in range(_MOST_ATTEMPTS):
            try:
                step.by_api(self._computation, self._computation.guest.address)
            except CloisterError as error:
                self._scenario.history.append(f"{step.name}: {type(error).__name__}: {error}")
                check_sentence(error)
                self._check()
                if self._excused(step, error):
                    return refusal.reason_of(error) == "CONSUMED"
                if attempt == _MOST_ATTEMPTS - 1:
                    raise
            else:
                self._scenario.history.append(step.name)
                break
        self._check()
        return True

    def _excused(self, step: Step, error: CloisterError) -> bool:
        """Whether an earlier fault is the reason for which an honest party is refused."""
        reason = refusal.reason_of(error)
        if reason == "CONSUMED":
            # Its client was killed, or could not keep the key, when the machine had released it.
            return step.name in self._lost
        if reason == "NO_EVIDENCE":
            return "NO_EVIDENCE" in self._spoils
        if reason in ("NOT_READY", "TOO_LATE"):
            *_, last = self._invariants.check()
            return _ENDS.get(last.kind, last.detail.get("reason")) in self._spoils
        return False


def check_sentence(error: CloisterError) -> None:
    """A party is told one clear sentence, and what to do."""
    said = error.message
    assert said.endswith(".") and "  " not in said and "\n" not in said, repr(said)
    for word in ("Traceback", "Error(", "Exception", "Errno", "StatusCode", "failed inside the agent", "b'"):
        assert word not in said, said
    assert (error.hint or error.remedy).strip(), said


@contextmanager
def _short_pauses() -> Iterator[None]:
    """Let parties try again sooner."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (asset_upload, "TRANSFER_PAUSES"),
            (download, "TRANSFER_PAUSES"),
            (events, "EVENT_PAUSES"),
            (opening, "_PAUSES"),
        ):
            patch.setattr(module, name, _PAUSES)
        yield


@contextmanager
def _every_key(invariants: Invariants) -> Iterator[None]:
    """Note every key that a client in this process receives."""
    release = Session.release_result

    def released(session: Session, consumer: str, ciphertext_digest: bytes) -> bytes:
        key = release(session, consumer, ciphertext_digest)
        invariants.found_key(consumer, key)
        return key

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "release_result", released)
        yield
