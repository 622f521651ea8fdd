"""Files that a user names.

Only regular files are opened, since reading a pipe may block and reading a device may not end. What is read whole has a
limit.
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
    """Open the file at ``path`` for reading. Raises OSError, also for a folder, a pipe, a socket and a device."""
    # Checked before: opening a pipe waits for its other end, and opening a device may have an effect.
    check(path)
    return path.open("rb")


def read(path: Path, limit: int) -> bytes:
    """The content, or ``limit`` + 1 bytes of a larger file, which its parser rejects. Raises OSError."""
    with open_regular(path) as file:
        return file.read(limit + 1)


def destination(path: Path) -> Path:
    """The path to which a new file is renamed in order to replace ``path``: the target, if ``path`` is a link.

    Raises OSError if that would replace a pipe or a device, and for a link to an open file that was removed.
    """
    check(path)
    if not path.is_symlink():
        return path
    end = path.resolve()
    if path.exists() and not (end.exists() and end.samefile(path)):
        raise OSError(errno.ENOENT, "Links to a file that was removed", str(path))
    return end


def check(path: Path) -> None:
    """Raise OSError when something is at ``path`` that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if (said := _KINDS.get(stat.S_IFMT(mode))) is not None:
        raise OSError(errno.EINVAL, said, str(path))
