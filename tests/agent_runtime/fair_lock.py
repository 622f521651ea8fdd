"""Calls that arrive at one time: a lock that threads get in the order in which they ask decides who comes first."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType

from agent_runtime.computation.state import Lifecycle
from cloister.client.connection.refusal import Refusal


class FairLock:
    """Re-entrant. ``end`` is called when a call has returned, with the lock or without it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._owner: int | None = None
        self._depth = 0
        self._ended = 0

    def __enter__(self) -> None:
        own = threading.get_ident()
        with self._changed:
            if self._owner != own:
                place = object()
                self._queue.append(place)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._owner is None and self._queue[0] is place)
                self._queue.popleft()
                self._owner = own
            self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._changed.notify_all()

    def end(self) -> None:
        """A caller has returned."""
        with self._changed:
            self._ended += 1
            self._changed.notify_all()

    def wait_for(self, waiting: int) -> int:
        """Wait until so many threads ask for the lock, or a caller has returned without it; returns how many ask."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) >= waiting or self._ended > 0)
            return len(self._queue)


def at_one_time(lifecycle: Lifecycle, calls: Mapping[str, Callable[[], object]]) -> dict[str, object]:
    """Have all calls wait for the lock in this order, then let them go on; what each returns, or its refusal."""
    lock, found = FairLock(), dict[str, object]()

    def attempt(name: str, call: Callable[[], object]) -> None:
        try:
            found[name] = call()
        except Refusal as error:
            found[name] = error
        finally:
            lock.end()

    lifecycle.lock = lock  # type: ignore[assignment]  # no call is on the way
    threads = [threading.Thread(target=attempt, args=one) for one in calls.items()]
    with lock:
        for number, thread in enumerate(threads, 1):
            thread.start()
            assert lock.wait_for(number) >= number, f"decided without the lock: {found}"
    for thread in threads:
        thread.join()
    return found
