"""The machine's two clocks."""

import datetime
import time


class Clock:
    """``now`` is the time that the host reports; ``uptime`` also counts while the machine is suspended."""

    def now(self) -> datetime.datetime:
        """The time in UTC, as the host reports it."""
        return datetime.datetime.now(datetime.UTC)

    def uptime(self) -> float:
        """Seconds since boot (CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
