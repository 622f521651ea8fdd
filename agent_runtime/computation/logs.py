"""What the algorithm printed, for the readers whom the manifest names."""

import os
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 64 * 1024


class Logs:
    """A file that the runner writes while the algorithm runs; at most ``limit`` bytes of it are shown.

    The runner keeps one byte more than the limit when there was more, which is how a cut is known. Once opened, the
    file stays readable here although the runner removes its name.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._descriptor: int | None = None

    def open(self) -> bool:
        """Take hold of the file, if it is there; whether it is."""
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
        """What there is by now, in pieces."""
        offset = 0
        while self.open() and self._descriptor is not None:
            data = os.pread(self._descriptor, min(_CHUNK, self._limit - offset), offset)
            if not data:
                return
            offset += len(data)
            yield data
