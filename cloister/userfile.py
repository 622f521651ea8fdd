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


def open_regular(path: Path) -> BufferedReader:
    """The file at ``path``, to be read. Raises OSError, also for a folder, a pipe, a socket and a device."""
    # Asked before: to open a pipe is to wait for its other end, and a device may do something when it is opened.
    check(path)
    return path.open("rb")


def read(path: Path, limit: int) -> bytes:
    """The file, or one byte more than ``limit`` of it, which whoever parses it refuses. Raises OSError."""
    with open_regular(path) as file:
        return file.read(limit + 1)


def destination(path: Path) -> Path:
    """What a new file has to be renamed to so that it is at ``path``: the end of a link, which stays one.

    Raises OSError where a pipe or a device would be gone afterwards, and for an open file that has no name any more.
    """
    check(path)
    if not path.is_symlink():
        return path
    end = path.resolve()
    if path.exists() and not (end.exists() and end.samefile(path)):
        raise OSError(errno.ENOENT, "Leads to a file that was removed", str(path))
    return end


def check(path: Path) -> None:
    """Raise OSError when something is at ``path`` that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if (said := _KINDS.get(stat.S_IFMT(mode))) is not None:
        raise OSError(errno.EINVAL, said, str(path))
