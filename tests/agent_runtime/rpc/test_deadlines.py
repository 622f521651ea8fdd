"""Deadlines strike once, when they are due, and not when they were moved or cleared."""

import threading
from collections.abc import Iterator

import pytest

from agent_runtime.rpc.deadlines import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    made.stop()


def test_a_deadline_strikes(watch: Watch) -> None:
    struck = threading.Event()
    watch.deadline(struck.set).set(0)
    assert struck.wait(30)


def test_deadlines_strike_in_the_order_in_which_they_are_due(watch: Watch) -> None:
    order: list[str] = []
    done = threading.Event()
    last = watch.deadline(done.set)
    for name, seconds in (("second", 0.02), ("first", 0.01)):
        watch.deadline(lambda name=name: order.append(name)).set(seconds)
    last.set(0.03)
    assert done.wait(30)
    assert order == ["first", "second"]


def test_a_cleared_deadline_does_not_strike(watch: Watch) -> None:
    struck, done = threading.Event(), threading.Event()
    cleared = watch.deadline(struck.set)
    cleared.set(0.01)
    cleared.clear()
    watch.deadline(done.set).set(0.02)
    assert done.wait(30)
    assert not struck.is_set()


def test_a_deadline_that_is_moved_strikes_later(watch: Watch) -> None:
    struck, done = threading.Event(), threading.Event()
    moved = watch.deadline(struck.set)
    moved.set(0.01)
    moved.set(3600)
    watch.deadline(done.set).set(0.02)
    assert done.wait(30)
    assert not struck.is_set()
    assert not moved.expired


def test_a_deadline_that_is_moved_often_waits_in_the_queue_once(watch: Watch) -> None:
    deadline = watch.deadline(lambda: None)
    for _ in range(1000):
        deadline.set(3600)
    assert len(watch._queue) == 1
