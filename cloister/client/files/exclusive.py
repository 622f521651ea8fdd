"""Files that are made once, where nothing was before."""

import os
from pathlib import Path
from typing import BinaryIO


def opened(path: Path, mode: int = 0o644) -> BinaryIO:
    """A file to be written that was not there before, not even as a link. Raises FileExistsError and every OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, mode), "wb")


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that must not exist. Raises FileExistsError and every other OSError; then nothing of it is left."""
    file = opened(path, mode)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # A full disk, or Ctrl-C: the next call must not find a file that it would have to keep.
        path.unlink(missing_ok=True)
        raise
