"""The reports of a long transfer to its caller."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager

from cloister.errors import CloisterError

Progress = Callable[[int, int], None]
"""Called with the bytes done so far, and all bytes."""


class TransferReport:
    """Reports nothing; override the methods for what you want to see."""

    def transfer(self, what: str, size: int) -> AbstractContextManager[Progress]:
        """Called when a step begins: ``what`` describes it, ``size`` is in bytes. The step ends with the context."""
        return contextlib.nullcontext(lambda done, size: None)

    def interrupted(self, error: CloisterError, pause: float) -> None:
        """Called when the connection is lost, ``pause`` seconds before the next attempt."""
