"""Files that only one command at a time may use. Others may write to their folder: no link there is followed."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Generator
from io import FileIO
from pathlib import Path


def resumed(path: Path) -> FileIO:
    """A file that an earlier command of this user began, open for reading and writing; else a new one in its place.

    Raises OSError.
    """
    with contextlib.suppress(OSError):
        return os.fdopen(_own(path, os.O_RDWR), "r+b", buffering=0)
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "r+b", buffering=0)


def rewrite(path: Path, content: bytes) -> None:
    """Replace the content of a file of this user, or write a new one; a lock on it stays. Raises OSError."""
    with os.fdopen(_own(path, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
        file.truncate(0)
        file.write(content)


def _own(path: Path, flags: int) -> int:
    """Open a regular file of this user that has no other name. Raises OSError for anything else."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, "Is another user's, or has another name, too", str(path))


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Lock a file, which is created if it is missing, against other commands that lock it.

    Raises BlockingIOError when another command has it locked, and every other OSError.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(descriptor, path):
                yield
                return
            # The command that had it locked has deleted it meanwhile.
        finally:
            os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether what lies at ``path`` is an open file. Raises OSError."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
