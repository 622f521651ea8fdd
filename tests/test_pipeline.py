"""The second thread of a pipeline is bounded, keeps the order, and hides no error."""

import threading
from collections.abc import Iterator

import pytest

from cloister.pipeline import ReadAhead, WriteBehind


class Broken(Exception):
    pass


def test_items_arrive_in_order_and_no_more_than_allowed_are_fetched():
    fetched = []
    full = threading.Event()

    def items() -> Iterator[int]:
        for number in range(20):
            fetched.append(number)
            if len(fetched) == 4:  # one was taken, two wait, one is in the hands of the thread
                full.set()
            yield number

    with ReadAhead(items(), 2) as ahead:
        assert next(ahead) == 0
        assert full.wait(10)
        assert len(fetched) == 4
        assert list(ahead) == list(range(1, 20))


def test_error_of_the_source_is_raised_after_the_items_before_it():
    def items() -> Iterator[int]:
        yield 1
        raise Broken

    with ReadAhead(items(), 5) as ahead:
        assert next(ahead) == 1
        with pytest.raises(Broken):
            next(ahead)
        assert isinstance(ahead.error, Broken)


def test_closed_source_is_left_and_its_thread_ends():
    def endless() -> Iterator[int]:
        while True:
            yield 1

    ahead = ReadAhead(endless(), 2)
    next(ahead)
    ahead.close()
    assert list(ahead) == []
    assert not ahead._thread.is_alive()


def test_items_are_written_in_order_before_the_context_ends():
    taken = []
    with WriteBehind(taken.append, 2) as behind:
        for number in range(20):
            behind.put(number)
    assert taken == list(range(20))


def test_no_more_than_allowed_wait_for_the_writer():
    waiting = []

    def take(item: int) -> None:
        waiting.append(len(behind._queue._items))

    with WriteBehind(take, 2) as behind:
        for number in range(500):
            behind.put(number)
    assert len(waiting) == 500
    assert max(waiting) <= 2


@pytest.mark.parametrize("at_the_end", [False, True])
def test_error_of_the_writer_is_raised_and_every_item_is_taken_or_dropped(at_the_end):
    taken, dropped = [], []

    def take(item: int) -> None:
        if item == 2:
            raise Broken
        taken.append(item)

    with pytest.raises(Broken), WriteBehind(take, 8, drop=dropped.append) as behind:
        for number in range(3):
            behind.put(number)
        if not at_the_end:
            behind._thread.join(10)  # it ends with the error
            behind.put(3)
    assert taken == [0, 1]
    assert dropped == ([] if at_the_end else [3])


def test_error_of_the_loop_is_not_replaced():
    def take(item: int) -> None:
        raise Broken

    with pytest.raises(KeyError), WriteBehind(take, 2) as behind:
        behind.put(1)
        behind._thread.join(10)
        raise KeyError
