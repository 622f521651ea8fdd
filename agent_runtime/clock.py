"""The two clocks of the machine."""

import datetime
import time


class Clock:
    """``now`` is the host's word for the time; ``uptime`` goes on by itself, also while the machine is suspended."""

    def now(self) -> datetime.datetime:
        """The time in UTC, as the host says."""
        return datetime.datetime.now(datetime.UTC)

    def uptime(self) -> float:
        """Seconds since boot (CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
