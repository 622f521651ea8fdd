"""Deadlines expire once, when they are due, and not when they were moved or cleared."""

import threading
from collections.abc import Iterator

import pytest

from agent_runtime.rpc.deadlines import Deadlines


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    made = Deadlines()
    yield made
    made.stop()


def test_a_deadline_strikes(deadlines: Deadlines) -> None:
    struck = threading.Event()
    deadlines.deadline(struck.set).set(0)
    assert struck.wait(30)


def test_deadlines_strike_in_the_order_in_which_they_are_due(deadlines: Deadlines) -> None:
    order: list[str] = []
    done = threading.Event()
    last = deadlines.deadline(done.set)
    for name, seconds in (("second", 0.02), ("first", 0.01)):
        deadlines.deadline(lambda name=name: order.append(name)).set(seconds)
    last.set(0.03)
    assert done.wait(30)
    assert order == ["first", "second"]


def test_a_cleared_deadline_does_not_strike(deadlines: Deadlines) -> None:
    struck, done = threading.Event(), threading.Event()
    cleared = deadlines.deadline(struck.set)
    cleared.set(0.01)
    cleared.clear()
    deadlines.deadline(done.set).set(0.02)
    assert done.wait(30)
    assert not struck.is_set()


def test_a_deadline_that_is_moved_strikes_later(deadlines: Deadlines) -> None:
    struck, done = threading.Event(), threading.Event()
    moved = deadlines.deadline(struck.set)
    moved.set(0.01)
    moved.set(3600)
    deadlines.deadline(done.set).set(0.02)
    assert done.wait(30)
    assert not struck.is_set()
    assert not moved.expired


def test_a_deadline_that_is_moved_often_waits_in_the_queue_once(deadlines: Deadlines) -> None:
    deadline = deadlines.deadline(lambda: None)
    for _ in range(1000):
        deadline.set(3600)
    assert len(deadlines._queue) == 1
