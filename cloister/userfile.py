"""Files that a user names.

A pipe would be waited for and a device read without an end: what is opened is a regular file, and of one that is read
whole never more than somebody will look at.
"""

import errno
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "Is a pipe, not a file",
    stat.S_IFSOCK: "Is a socket, not a file",
    stat.S_IFCHR: "Is a device, not a file",
    stat.S_IFBLK: "Is a device, not a file",
}


def opened(path: Path) -> BufferedReader:
    """The file at ``path``, to be read. Raises OSError, also for a folder, a pipe, a socket and a device."""
    # Asked before: to open a pipe is to wait for its other end, and a device may do something when it is opened.
    check(path)
    return path.open("rb")


def read(path: Path, limit: int) -> bytes:
    """The file, or one byte more than ``limit`` of it, which whoever parses it refuses. Raises OSError."""
    with opened(path) as file:
        return file.read(limit + 1)


def check(path: Path) -> None:
    """Raise OSError when something is at ``path`` that is neither a file nor a folder.

    For what a file will be renamed to, too: after that, a /dev/null would be gone.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if (said := _KINDS.get(stat.S_IFMT(mode))) is not None:
        raise OSError(errno.EINVAL, said, str(path))
