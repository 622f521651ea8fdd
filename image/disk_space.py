"""Room on this machine's disks: whoever finds none, or may not write there, is told where and what to do."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cloister.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)

CACHE = "`invoke cache --clear` empties the cache."
TEMPORARY = "TMPDIR=FOLDER puts temporary files elsewhere."


@contextmanager
def needed(folder: Path, remedy: str = "") -> Generator[None]:
    """What is done inside writes below ``folder``; ``remedy`` is what helps when there is no room.

    Raises InputError when there is none or the user may not write there. Every other error passes.
    """
    try:
        yield
    except OSError as error:
        if (number := _number(error)) in FULL:
            hint = f"Make room there, then do the same again. {remedy}".rstrip()
        elif number in _CLOSED and Path(error.filename or "").is_relative_to(folder):
            hint = "Let this user write there, then do the same again."
        else:
            raise
        raise InputError(f"{folder} cannot be written: {os.strerror(number)}.", hint=hint) from error


def _number(error: OSError) -> int:
    """The first of several that shutil collects, as ``(from, to, what was said)``."""
    if error.errno is not None or not error.args or not isinstance(error.args[0], list):
        return error.errno or 0
    said = " ".join(str(one[-1]) for one in error.args[0])
    return next((number for number in (*FULL, *_CLOSED) if f"[Errno {number}]" in said), 0)
