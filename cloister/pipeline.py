"""Two ends of a pipeline with a second thread: one fetches items ahead of a loop, one takes items behind it.

Both are bounded, both end with their context, and an error of the second thread is raised in the first.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """At most ``depth`` items. After :meth:`end` what is in it can be taken; after :meth:`drop` nothing."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False

    def put(self, item: T) -> bool:
        """Wait for room and add ``item``; false, without waiting, when the queue has ended."""
        with self._changed:
            while len(self._items) >= self._depth and not self._ended:
                self._changed.wait()
            if self._ended:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def take(self) -> list[T]:
        """Wait for an item and remove it; empty when the queue has ended and nothing is left."""
        with self._changed:
            while not self._items and not self._ended:
                self._changed.wait()
            if not self._items:
                return []
            item = self._items.popleft()
            self._changed.notify_all()
            return [item]

    def end(self) -> None:
        """Take no further items."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def drop(self) -> list[T]:
        """End the queue, and return what was left in it."""
        with self._changed:
            self._ended = True
            left = list(self._items)
            self._items.clear()
            self._changed.notify_all()
            return left


class ReadAhead(Generic[T]):
    """An iterator over ``items`` that another thread fetches, up to ``depth`` in advance. Close it when it is not used
    up: the thread has ended then, and an item that it was fetching is lost. ``error`` is what ended ``items``.
    """

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._queue: _Queue[T] = _Queue(depth)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(items,), name="read-ahead", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        for item in self._queue.take():
            return item
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        """End the thread, which finishes the item that it is fetching."""
        self._queue.drop()
        self._thread.join()

    def _run(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if not self._queue.put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again by __next__
            self.error = error
        self._queue.end()


class WriteBehind(Generic[T]):
    """Gives items to ``take`` in another thread, in order; up to ``depth`` wait for it.

    The context ends when every item was taken. An error of ``take`` is raised by the next :meth:`put`, or at the end of
    the context if that has no error of its own; items after the error go to ``drop``.
    """

    def __init__(
        self, take: Callable[[T], object], depth: int, *, drop: Callable[[T], object] = lambda item: None
    ) -> None:
        self._take = take
        self._drop = drop
        self._queue: _Queue[T] = _Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write-behind", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.end()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def put(self, item: T) -> None:
        """Hand over an item. Raises what ``take`` raised for an earlier one."""
        if not self._queue.put(item):
            self._drop(item)
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        while items := self._queue.take():
            try:
                self._take(items[0])
            except BaseException as error:  # noqa: BLE001 - raised again by put or __exit__
                self._error = error
                for left in self._queue.drop():
                    self._drop(left)
                return
