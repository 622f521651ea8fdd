"""A run ends when it is stopped, its time is over or its disk has failed, and is never waited for in vain."""

import threading
from collections.abc import Callable, Iterator

import pytest

from agent_runtime.runner import guard as module
from agent_runtime.runner.guard import RunGuard
from agent_runtime.runner.protocol import RunOutcome


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LOOK_INTERVAL", 0.01), ("FAILED_SECONDS", 0.05), ("LOST_SECONDS", 0.05)):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def forever() -> Iterator[threading.Event]:
    """What a run waits for that does not end by itself."""
    event = threading.Event()
    yield event
    event.set()


def never() -> bool:
    return False


def after(event: threading.Event, guard: RunGuard) -> Callable[[], RunOutcome]:
    """A run that ends with ``event``."""

    def work() -> RunOutcome:
        event.wait()
        return guard.outcome() or RunOutcome.OK

    return work


def test_a_run_that_ends_has_its_own_outcome() -> None:
    assert RunGuard().run(lambda: RunOutcome.EXIT_STATUS, 60, lambda: None, never) is RunOutcome.EXIT_STATUS


def test_what_a_run_raises_is_raised() -> None:
    def work() -> RunOutcome:
        raise TimeoutError("cannot mount")

    with pytest.raises(TimeoutError, match="cannot mount"):
        RunGuard().run(work, 60, lambda: None, never)


def test_a_run_is_killed_when_its_time_is_over(forever: threading.Event) -> None:
    guard = RunGuard()
    assert guard.run(after(forever, guard), 0, forever.set, never) is RunOutcome.TIME_LIMIT


def test_a_run_is_killed_when_it_is_stopped(forever: threading.Event) -> None:
    guard = RunGuard()
    guard.stop()
    assert guard.run(after(forever, guard), 60, forever.set, never) is RunOutcome.STOPPED


def unreadable() -> bool:
    raise OSError("cannot read the kernel's messages")


@pytest.mark.parametrize("failed", [lambda: True, unreadable])
def test_a_run_may_not_go_on_after_its_disk_has_failed(forever: threading.Event, failed: Callable[[], bool]) -> None:
    guard = RunGuard()
    guard.run(after(forever, guard), 3600, forever.set, failed)
    assert guard.broken.is_set() and guard.is_due()
    assert guard.outcome() is None


@pytest.mark.parametrize(
    ("seconds", "failed", "outcome"), [(0, never, RunOutcome.TIME_LIMIT), (3600, lambda: True, RunOutcome.SCRATCH)]
)
def test_a_run_that_cannot_be_killed_is_given_up(
    forever: threading.Event, seconds: int, failed: Callable[[], bool], outcome: RunOutcome
) -> None:
    guard = RunGuard()
    assert guard.run(after(forever, guard), seconds, lambda: None, failed) is outcome
    assert guard.lost.is_set()
