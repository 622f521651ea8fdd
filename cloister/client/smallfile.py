"""Files that are read whole: never more of one than somebody will look at, whatever the path leads to."""

from pathlib import Path


def read(path: Path, limit: int) -> bytes:
    """The file, or one byte more than ``limit`` of it, which whoever parses it refuses. Raises OSError."""
    with path.open("rb") as file:
        return file.read(limit + 1)
