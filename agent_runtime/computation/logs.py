"""The algorithm's logs, for the manifest's log readers."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.runner.kept_output import live_part

_CHUNK = 64 * 1024


class Logs:
    """A file that the runner writes while the algorithm runs. At most ``limit`` bytes of it are shown.

    If the algorithm prints more, the runner keeps one byte over the limit; this marks the logs as truncated. Once
    opened, the file stays readable after the runner has deleted it.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._descriptor: int | None = None
        self.wiped = False
        self._lock = threading.Lock()

    def open(self) -> bool:
        """Open the file if it exists. Whether it is open."""
        with self._lock:
            return self._opened() is not None

    def _opened(self) -> int | None:
        """The descriptor; None without a file. The lock is held, or :meth:`wipe` could close it in between."""
        if self._descriptor is None and not self.wiped:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return None
        return self._descriptor

    def wipe(self) -> None:
        """Let no one read the file any more. The runner deletes it when the run has ended."""
        with self._lock:
            self.wiped = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    @property
    def size(self) -> int:
        """How many bytes log readers get after the run."""
        return min(self._kept(), self._limit)

    @property
    def truncated(self) -> bool:
        """Whether the algorithm printed more than the limit."""
        return self._kept() > self._limit

    def _kept(self) -> int:
        with self._lock:
            descriptor = self._opened()
            return 0 if descriptor is None else os.fstat(descriptor).st_size

    def whole(self) -> "ReadableLogs":
        """The logs after the run."""
        return ReadableLogs(self, self._limit, final=True)

    def live(self) -> "ReadableLogs":
        """The logs during the run, without the part that may still be replaced."""
        return ReadableLogs(self, live_part(self._limit), final=False)

    def closed(self) -> "ReadableLogs":
        """Nothing: the logs cannot be read yet."""
        return ReadableLogs(self, 0, final=False)

    def read(self, offset: int, limit: int) -> Iterator[bytes]:
        """The bytes from ``offset`` on, in chunks, as far as the first ``limit`` bytes have been written."""
        while offset < limit:
            with self._lock:
                descriptor = self._opened()
                data = b"" if descriptor is None else os.pread(descriptor, min(_CHUNK, limit - offset), offset)
            if not data:
                return
            offset += len(data)
            yield data


@dataclass(frozen=True)
class ReadableLogs:
    """What a log reader may have now: the first ``limit`` bytes; ``final`` when nothing will be added.

    ``ending``: the computation was stopped and its run is about to end, so that more follows at once.
    """

    logs: Logs
    limit: int
    final: bool
    ending: bool = False

    def read(self, offset: int) -> Iterator[bytes]:
        """The bytes from ``offset`` on, in chunks."""
        return self.logs.read(offset, self.limit)

    @property
    def wiped(self) -> bool:
        """Whether the logs were wiped meanwhile."""
        return self.logs.wiped

    @property
    def truncated(self) -> bool:
        """Whether the algorithm printed more than log readers ever get. False while it runs."""
        return self.final and self.logs.truncated
