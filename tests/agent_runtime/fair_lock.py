"""Calls that arrive at one time: a lock that threads get in the order in which they ask decides who comes first."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from agent_runtime.boot import Agent
from cloister.errors import CloisterError
from cloister.protocol.events import Event, EventKind, State


class FairLock:
    """Re-entrant. ``end`` is called when a call has returned, with the lock or without it.

    ``unlocked`` has the events that came without it.
    """

    def __init__(self) -> None:
        self.unlocked: list[EventKind] = []
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._owner: int | None = None
        self._depth = 0
        self.ended = 0

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

    def is_mine(self) -> bool:
        """Return whether the calling thread has the lock."""
        return self._owner == threading.get_ident()

    def end(self) -> None:
        """A caller has returned."""
        with self._changed:
            self.ended += 1
            self._changed.notify_all()

    def wait_for(self, waiting: int) -> int:
        """Wait until so many threads ask for the lock, or a caller has returned without it; returns how many ask."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) >= waiting or self.ended > 0)
            return len(self._queue)


def install(agent: Agent) -> FairLock:
    """Give the agent's computation a fair lock, which notes the events of calls that did not have it.

    No other thread may have the earlier lock or wait for it.
    """
    lock, append = FairLock(), agent.log.append

    def noted(kind: EventKind, state: State, **more: Any) -> Event:
        if not lock.is_mine():
            lock.unlocked.append(kind)
        return append(kind, state, **more)

    agent.log.append = noted  # type: ignore[method-assign]
    agent.computation.lifecycle.lock = lock  # type: ignore[assignment]
    return lock


def at_one_time(lock: FairLock, calls: Mapping[str, Callable[[], object]]) -> dict[str, object]:
    """Have all calls wait for the lock in this order, then let them go on; what each returns, or its error."""
    found: dict[str, object] = {}

    def attempt(name: str, call: Callable[[], object]) -> None:
        try:
            found[name] = call()
        except CloisterError as error:
            found[name] = error
        finally:
            lock.end()

    threads = [threading.Thread(target=attempt, args=one) for one in calls.items()]
    with lock:
        lock.ended = 0
        for number, thread in enumerate(threads, 1):
            thread.start()
            assert lock.wait_for(number) >= number, f"decided without the lock: {found}"
    for thread in threads:
        thread.join()
    assert lock.unlocked == []
    return found
