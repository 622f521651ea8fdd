"""Run calls on every processor that this process may use. No output depends on how many there are."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

Given = ParamSpec("Given")
Value = TypeVar("Value")
Made = TypeVar("Made")

_LAYERS = 8
"""More than there are layers that are made at once."""


def processors() -> int:
    """How many processors this process may use (sched_getaffinity(2)); the machine may have more."""
    return len(os.sched_getaffinity(0))


class Workers:
    """Threads for calls that spend their time outside of Python's own code, and for layers that wait for such calls.

    An error, or Ctrl-C, cancels what has not begun.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or processors()
        """How many calls run at once: so many packages or sources are in memory."""
        self._calls = ThreadPoolExecutor(self.count)
        self._layers = ThreadPoolExecutor(_LAYERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in (self._layers, self._calls):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._layers, self._calls):
            pool.shutdown()

    def submit(self, call: Callable[Given, Made], *args: Given.args, **options: Given.kwargs) -> Future[Made]:
        """Run ``call`` when a processor is free. It must not wait for another call."""
        return self._calls.submit(call, *args, **options)

    def map(self, call: Callable[[Value], Made], values: Iterable[Value]) -> list[Made]:
        """The results of ``call`` for ``values``, in their order."""
        return [made.result() for made in [self.submit(call, value) for value in values]]

    def layer(self, make: Callable[Given, Made], *args: Given.args, **options: Given.kwargs) -> Future[Made]:
        """Run ``make`` beside other layers. It may wait for calls and for layers that were begun before."""
        return self._layers.submit(make, *args, **options)
