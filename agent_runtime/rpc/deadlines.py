"""Deadlines of calls, all served by one thread."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Deadline:
    """One call's deadline: ``set`` moves it, ``clear`` removes it. ``expired`` tells whether it has expired.

    It may wait in the queue for longer than its call lasts: after ``end`` it holds nothing of the call.
    """

    def __init__(self, deadlines: "Deadlines", on_expiry: Callable[[], object]) -> None:
        self._deadlines = deadlines
        self._on_expiry = on_expiry
        self.due: float | None = None
        self.queued: float | None = None
        self.expired = False

    def set(self, seconds: float) -> None:
        """Expire after so many seconds, unless moved or cleared before."""
        self.due = time.monotonic() + seconds
        self._deadlines.push(self)

    def clear(self) -> None:
        """Remove the deadline."""
        self.due = None

    def end(self) -> None:
        """Remove the deadline for good: its call has ended."""
        self.clear()
        self._on_expiry = _nothing

    def expire(self) -> None:
        """Mark the deadline as expired and end its call."""
        self.expired = True
        self._on_expiry()


def _nothing() -> None:
    pass


class Deadlines:
    """The deadlines of all calls, in one thread."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
        self._thread.start()

    def deadline(self, on_expiry: Callable[[], object]) -> Deadline:
        """A deadline, not yet set."""
        return Deadline(self, on_expiry)

    def push(self, deadline: Deadline) -> None:
        """Queue ``deadline``, unless it is queued for an earlier time; it is then queued again."""
        with self._changed:
            due = deadline.due
            if due is None or (deadline.queued is not None and deadline.queued <= due):
                return
            deadline.queued = due
            heapq.heappush(self._queue, (due, next(self._order), deadline))
            if self._queue[0][2] is deadline:
                self._changed.notify()

    def stop(self) -> None:
        """End the thread. No deadline expires afterwards."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                now = time.monotonic()
                if not self._queue or self._queue[0][0] > now:
                    self._changed.wait(self._queue[0][0] - now if self._queue else None)
                    continue
                _, _, deadline = heapq.heappop(self._queue)
                deadline.queued = None
                due = deadline.due
            if due is None:
                continue
            if due > now:
                self.push(deadline)
            else:
                deadline.expire()
