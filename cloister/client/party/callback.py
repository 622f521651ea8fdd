"""The reports of transfers to a function of the user, and warnings as Python has them."""

import contextlib
import sys
import threading
import warnings
from collections.abc import Callable, Generator

from cloister.client.computation.upload import UploadReport
from cloister.client.connection.report import Progress
from cloister.client.result.fetch import ResultReport
from cloister.errors import CloisterError
from cloister.protocol import text

OnProgress = Callable[[str, int, int], object]
"""Called with what is done, such as ``Uploading h1``, the bytes done and all bytes."""


class CloisterWarning(UserWarning):
    """What may fail on the machine, what no one would notice there, or that a transfer was interrupted and resumes."""


class CallbackReport(UploadReport, ResultReport):
    """Calls one function for the progress of all transfers, one thread at a time; the rest becomes a warning."""

    def __init__(self, progress: OnProgress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def transfer(self, what: str, size: int) -> Generator[Progress, None, None]:
        """Reports the steps of a transfer under the name ``what``."""
        said = text.printable(what)
        yield lambda done, size: self._report(said, done, size)

    def _report(self, what: str, done: int, size: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._progress(what, done, size)

    def interrupted(self, error: CloisterError, pause: float) -> None:
        """Warns, with what happened."""
        _warn(f"{error.message} Retrying in {pause:.0f} s." if pause >= 1 else f"{error.message} Retrying.")

    def warned(self, said: str) -> None:
        """Warns."""
        _warn(said)


def _warn(said: str) -> None:
    """Warn at the line outside of this package that called it, or at the top of a thread."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cloister."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text.printable(said, keep="\n\t"), CloisterWarning, stacklevel=level)
