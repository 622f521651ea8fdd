"""The algorithm's logs, for the manifest's log readers."""

import os
from collections.abc import Iterator
from pathlib import Path

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

    def open(self) -> bool:
        """Open the file if it exists. Whether it is open."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return False
        return True

    @property
    def truncated(self) -> bool:
        """Whether the algorithm printed more than the limit."""
        return self.open() and self._descriptor is not None and os.fstat(self._descriptor).st_size > self._limit

    def read(self) -> Iterator[bytes]:
        """The logs so far, in chunks."""
        offset = 0
        while self.open() and self._descriptor is not None:
            data = os.pread(self._descriptor, min(_CHUNK, self._limit - offset), offset)
            if not data:
                return
            offset += len(data)
            yield data
