"""Files that are made once: there is a whole one of that name afterwards, or none."""

import os
from pathlib import Path


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that must not exist. Raises FileExistsError and every other OSError; then nothing of it is left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        # A full disk, or Ctrl-C: the next call must not find a file that it would have to keep.
        path.unlink(missing_ok=True)
        raise
