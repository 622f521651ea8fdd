"""Ends calls whose peer keeps still for too long."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Deadline:
    """One call's deadline: ``set`` moves it, ``clear`` takes it away. ``expired`` tells whether it struck."""

    def __init__(self, deadlines: "Deadlines", expire: Callable[[], object]) -> None:
        self._deadlines = deadlines
        self._on_expiry = expire
        self.due: float | None = None
        self.queued: float | None = None
        self.expired = False

    def set(self, seconds: float) -> None:
        """Strike after so many seconds, unless moved or cleared before."""
        self.due = time.monotonic() + seconds
        self._deadlines.push(self)

    def clear(self) -> None:
        """Do not expire."""
        self.due = None

    def expire(self) -> None:
        """The time has come."""
        self.expired = True
        self._on_expiry()


class Deadlines:
    """One thread for all deadlines."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
        self._thread.start()

    def deadline(self, expire: Callable[[], object]) -> Deadline:
        """A deadline, not yet set."""
        return Deadline(self, expire)

    def push(self, deadline: Deadline) -> None:
        """Look at ``deadline`` when it is due; one that is queued for an earlier time is looked at then."""
        with self._changed:
            due = deadline.due
            if due is None or (deadline.queued is not None and deadline.queued <= due):
                return
            deadline.queued = due
            heapq.heappush(self._queue, (due, next(self._order), deadline))
            if self._queue[0][2] is deadline:
                self._changed.notify()

    def stop(self) -> None:
        """End the thread; no deadline strikes any more."""
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
