"""Retrying after a lost connection: a limited number of attempts, counted from zero whenever one made progress."""

import time
from collections.abc import Callable

from cloister.errors import CloisterError

TRANSFER_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)
"""Seconds before each further attempt at an upload or a result."""

EVENT_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt to read events."""

Interrupted = Callable[[CloisterError, float], None]
"""Called with what interrupted a transfer, and the seconds until the next attempt."""


class Backoff:
    """The pauses that are left."""

    def __init__(self, pauses: tuple[float, ...], interrupted: Interrupted = lambda error, pause: None) -> None:
        self._pauses = pauses
        self._left = iter(pauses)
        self._interrupted = interrupted

    def reset(self) -> None:
        """Start over, because an attempt made progress."""
        self._left = iter(self._pauses)

    def wait(self, error: CloisterError) -> None:
        """Sleep before another attempt. Raises ``error`` when no attempt is left."""
        pause = next(self._left, None)
        if pause is None:
            raise error
        self._interrupted(error, pause)
        time.sleep(pause)
