"""How long a party goes on with a machine that hangs up: some attempts, and as many again when one has moved things."""

import time
from collections.abc import Callable

from cloister.errors import CloisterError

TRANSFER = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)
"""Seconds before each further attempt at an upload or a result."""

EVENTS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt at the events."""

Interrupted = Callable[[CloisterError, float], None]
"""Told about an interruption, and after how many seconds the next attempt follows."""


class Patience:
    """The pauses that are left."""

    def __init__(self, pauses: tuple[float, ...], interrupted: Interrupted = lambda error, pause: None) -> None:
        self._pauses = pauses
        self._left = iter(pauses)
        self._interrupted = interrupted

    def renew(self) -> None:
        """An attempt has brought something over."""
        self._left = iter(self._pauses)

    def wait(self, error: CloisterError) -> None:
        """Before another attempt after ``error``, which is raised when there have been enough."""
        pause = next(self._left, None)
        if pause is None:
            raise error
        self._interrupted(error, pause)
        time.sleep(pause)
