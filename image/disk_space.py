"""Turn "disk full" and "not writable" into an error that names the folder and what to do."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cloister.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)

CACHE_HINT = "`invoke cache --clear` empties the cache."
TEMPORARY_HINT = "Set TMPDIR to put temporary files on another disk."


@contextmanager
def needed(folder: Path, remedy: str = "") -> Generator[None]:
    """Wrap code that writes below ``folder``; ``remedy`` is added to the hint when the disk is full.

    Raises InputError when the disk is full or the folder is not writable. Every other error passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if (number := _number(error)) in FULL:
            hint = f"Free some space there and try again. {remedy}".rstrip()
        elif number in _NOT_WRITABLE and Path(error.filename or "").is_relative_to(folder):
            hint = "Give this user write permission there and try again."
        else:
            raise
        raise InputError(f"{folder} cannot be written: {os.strerror(number)}.", hint=hint) from error


def _number(error: OSError) -> int:
    """The error number; of the errors that shutil collects as ``(from, to, message)``, the first one that is known."""
    if error.errno is not None or not error.args or not isinstance(error.args[0], list):
        return error.errno or 0
    messages = " ".join(str(one[-1]) for one in error.args[0])
    return next((number for number in (*FULL, *_NOT_WRITABLE) if f"[Errno {number}]" in messages), 0)
