"""Makes the results of a run readable for the agent.

Runs as root on a tree that hostile code wrote, after its last process has ended. Each step uses the descriptor of the
current folder, so no link is followed. Standard library only.
"""

import os
import stat
from pathlib import Path

_MAX_FILES = 4096
_MAX_DEPTH = 32


class InvalidResults(Exception):
    """The results contain something that is neither file nor folder, or too many of them."""


def make_readable(folder: Path) -> tuple[int, int]:
    """Make a tree of results readable for all users. Returns its total bytes and its number of files.

    Raises InvalidResults for anything but files and folders, and when they are too many or nested too deep.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(top, 0o755)
        return _walk_folder(top, _MAX_DEPTH, 0)
    finally:
        os.close(top)


def _walk_folder(descriptor: int, depth: int, count: int) -> tuple[int, int]:
    if depth == 0:
        raise InvalidResults
    total, files = 0, 0
    for name in os.listdir(descriptor):
        if count + files > _MAX_FILES:
            raise InvalidResults
        # O_PATH: the mode that the algorithm set may allow neither reading nor writing.
        entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            found = os.fstat(entry)
            if stat.S_ISDIR(found.st_mode):
                _change_mode(entry, 0o755)
                inner, more = _walk_inner(entry, depth - 1, count + files)
                total, files = total + inner, files + more
            elif stat.S_ISREG(found.st_mode):
                _change_mode(entry, 0o444)
                total, files = total + found.st_size, files + 1
            else:
                raise InvalidResults
        finally:
            os.close(entry)
    return total, files


def _walk_inner(handle: int, depth: int, count: int) -> tuple[int, int]:
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    try:
        return _walk_folder(folder, depth, count)
    finally:
        os.close(folder)


def _change_mode(handle: int, mode: int) -> None:
    # fchmod(2) rejects an O_PATH descriptor. This path refers to the opened file, even if its name was reused.
    os.chmod(f"/proc/self/fd/{handle}", mode)
