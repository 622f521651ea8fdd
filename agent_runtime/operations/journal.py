"""The agent's own log: JSON lines about itself, in memory, for owners; on a debug image on the console, too.

A line has an event of :class:`JournalEvent` and values that the agent chose: no bytes of an asset, no name of a party,
asset or file, and nothing that an algorithm wrote. Refusals are not logged while an algorithm runs, because it could
cause some of them.
"""

import json
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from agent_runtime.clock import Clock
from cloister.protocol import canonical

MAX_LINES = 1000
"""Lines that are kept; older ones are counted."""

_MAX_VALUE = 200
"""Characters of a value."""


class JournalEvent(StrEnum):
    """What the agent logs."""

    STARTED = "agent-started"
    REFUSED = "call-refused"
    FAULT = "fault"
    NO_EVIDENCE = "no-evidence"
    EVIDENCE_AGAIN = "evidence-again"
    CLOCK_MOVED = "clock-moved"
    STORE_FULL = "store-full"
    STOPPING = "stopping"


class Journal:
    """The last lines. Equal lines in a row are one line with a count. ``write`` gets each new line."""

    def __init__(self, clock: Clock, write: Callable[[str], object] = print) -> None:
        self.is_running: Callable[[], bool] = lambda: False
        """Whether an algorithm runs."""

        self._clock = clock
        self._write = write
        self._lock = threading.Lock()
        self._lines: deque[dict[str, Any]] = deque(maxlen=MAX_LINES)
        self._dropped = 0

    def add(self, event: JournalEvent, **values: str) -> None:
        """Add a line. ``values`` have names and contents that the agent chose."""
        if event is JournalEvent.REFUSED and self.is_running():
            return
        said = {name: value[:_MAX_VALUE] for name, value in values.items()}
        with self._lock:
            last = self._lines[-1] if self._lines else {}
            if last.get("event") == event.value and last.get("values") == said:
                last["count"] += 1
                return
            self._dropped += len(self._lines) == MAX_LINES
            line = {
                "time": canonical.to_time(self._clock.now()),
                "uptime": int(self._clock.uptime() * 1000),
                "event": event.value,
                "count": 1,
                "values": said,
            }
            self._lines.append(line)
        self._write(json.dumps(line))

    def text(self) -> str:
        """All lines; the first says how many older ones are gone, if any."""
        with self._lock:
            gone = [{"event": "older-lines-dropped", "count": self._dropped}] if self._dropped else []
            return "".join(f"{json.dumps(line)}\n" for line in [*gone, *self._lines])
