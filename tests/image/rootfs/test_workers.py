"""Workers run as many calls at once as there are processors, and stop at the first error."""

import threading

import pytest

from image.rootfs.workers import Workers


def test_results_are_in_the_order_of_the_values() -> None:
    second = threading.Event()

    def call(value: int) -> int:
        if value == 0:
            second.wait(30)
        else:
            second.set()
        return value * 2

    with Workers(2) as workers:
        assert workers.map(call, range(2)) == [0, 2]


def test_an_error_cancels_what_has_not_begun() -> None:
    begun, ended, ran = threading.Event(), threading.Event(), list[int]()

    def waiting() -> None:
        begun.set()
        ended.wait(30)

    with pytest.raises(ZeroDivisionError), Workers(1) as workers:
        workers.submit(waiting)
        # The first call ends when the second one is cancelled.
        workers.submit(ran.append, 1).add_done_callback(lambda _: ended.set())
        workers.layer(lambda: begun.wait(30)).result()
        raise ZeroDivisionError
    assert ran == []
