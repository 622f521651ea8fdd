"""Creating files that must not exist yet."""

import os
from pathlib import Path
from typing import BinaryIO


def opened(path: Path, mode: int = 0o644) -> BinaryIO:
    """A new file, open for writing. Raises FileExistsError, also when there is a link, and every other OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, mode), "wb")


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a new file. Raises FileExistsError and every other OSError, and then leaves no partial file."""
    file = opened(path, mode)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # A full disk, or Ctrl-C: an incomplete file would block the next call.
        path.unlink(missing_ok=True)
        raise
