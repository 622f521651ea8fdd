"""Notices when the host moves the machine's clock.

Nothing in the agent depends on that clock: limits and expiry count the uptime. But events and receipts have its time.
"""

import threading
from collections.abc import Callable

from agent_runtime.clock import Clock
from cloister.protocol.progress import format_elapsed

TOLERANCE = 5.0
"""Seconds between two looks that count as slewing, not as a jump."""

MAX_NOTICES = 8


class ClockWatch:
    """Compares the host's time with the uptime. ``moved`` gets the seconds of each jump."""

    def __init__(self, clock: Clock, moved: Callable[[float], object] = lambda seconds: None) -> None:
        self._clock = clock
        self._moved = moved
        self._lock = threading.Lock()
        self._offset = self._difference()
        self._notices: list[str] = []
        self.jumps = 0

    def look(self) -> None:
        """Compare the clocks again."""
        with self._lock:
            now = self._difference()
            jump, self._offset = now - self._offset, now
            if abs(jump) <= TOLERANCE:
                return
            self.jumps += 1
            way = "ahead" if jump > 0 else "back"
            uptime = format_elapsed(int(self._clock.uptime()))
            far = format_elapsed(round(abs(jump)))
            said = f"The host set the machine's clock {way} by {far} before uptime {uptime}."
            self._notices = [*self._notices[1 - MAX_NOTICES :], said]
        self._moved(jump)

    def notices(self) -> tuple[str, ...]:
        """A sentence for each of the last jumps."""
        self.look()
        with self._lock:
            return tuple(self._notices)

    def _difference(self) -> float:
        return self._clock.now().timestamp() - self._clock.uptime()
