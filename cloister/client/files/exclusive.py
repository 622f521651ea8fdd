"""Files that only one command may create or use."""

import contextlib
import fcntl
import os
from collections.abc import Generator
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


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Lock a file, which is created if it is missing, against other commands that lock it.

    Raises BlockingIOError when another command has it locked, and every other OSError.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                yield
                return
            # The command that had it locked has deleted it meanwhile.
        finally:
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
