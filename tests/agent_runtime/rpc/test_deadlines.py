"""Deadlines expire when due, and not after they were moved or cleared."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from agent_runtime.rpc.deadlines import Deadlines


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    made = Deadlines()
    yield made
    made.stop()


def test_deadline_expires(deadlines: Deadlines) -> None:
    expired = threading.Event()
    deadlines.deadline(expired.set).set(0)
    assert expired.wait(30)


def test_deadlines_expire_in_order(deadlines: Deadlines) -> None:
    order: list[str] = []
    done = threading.Event()
    last = deadlines.deadline(done.set)
    for name, seconds in (("second", 0.02), ("first", 0.01)):
        deadlines.deadline(lambda name=name: order.append(name)).set(seconds)
    last.set(0.03)
    assert done.wait(30)
    assert order == ["first", "second"]


def test_cleared_deadline_does_not_expire(deadlines: Deadlines) -> None:
    expired, done = threading.Event(), threading.Event()
    cleared = deadlines.deadline(expired.set)
    cleared.set(0.01)
    cleared.clear()
    deadlines.deadline(done.set).set(0.02)
    assert done.wait(30)
    assert not expired.is_set()


def test_moved_deadline_expires_later(deadlines: Deadlines) -> None:
    expired, done = threading.Event(), threading.Event()
    moved = deadlines.deadline(expired.set)
    moved.set(0.01)
    moved.set(3600)
    deadlines.deadline(done.set).set(0.02)
    assert done.wait(30)
    assert not expired.is_set()
    assert not moved.expired


def test_deadline_is_queued_once(deadlines: Deadlines) -> None:
    deadline = deadlines.deadline(lambda: None)
    for _ in range(1000):
        deadline.set(3600)
    assert len(deadlines._queue) == 1


def test_ended_deadline_lets_go_of_its_call(deadlines: Deadlines) -> None:
    """It stays in the queue until it would be due: calls that end at once must not be held until then."""

    class Context:
        def cancel(self) -> None: ...

    context = Context()
    gone = weakref.ref(context)
    deadline = deadlines.deadline(context.cancel)
    deadline.set(3600)
    deadline.end()
    del context
    gc.collect()
    assert len(deadlines._queue) == 1
    assert gone() is None
    deadline.expire()
