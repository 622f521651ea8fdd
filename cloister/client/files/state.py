"""What the client remembers for later commands: files in the user's state folder, changed under a lock."""

import contextlib
import os
import shlex
import time
from collections.abc import Generator
from pathlib import Path

from cloister import userfile
from cloister.client.files import exclusive
from cloister.errors import InputError
from cloister.protocol import canonical

_TRIES, _PAUSE = 200, 0.05
"""How often, and after how many seconds, a command looks whether another one has finished."""


def folder(name: str) -> Path:
    """``$XDG_STATE_HOME/cloister/NAME``, else ``~/.local/state/cloister/NAME`` (XDG Base Directory Specification).

    Raises InputError for a user without a home folder.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    if named.startswith("/"):  # the specification: a relative path is invalid, and ignored
        return Path(named) / "cloister" / name
    try:
        return Path.home() / ".local" / "state" / "cloister" / name
    except RuntimeError as error:
        raise InputError(
            "This user has no home folder, where the client remembers what later commands need.",
            hint="Set XDG_STATE_HOME to a folder that only you may write to.",
        ) from error


@contextlib.contextmanager
def locked(at: Path, busy: str, *, tries: int = _TRIES) -> Generator[None]:
    """Keep other commands from what is at ``at``, by a lock beside it; the folder is made if it is missing.

    ``busy`` says what another command does that keeps the lock too long. Raises InputError, also for a folder to which
    other users may write.
    """
    lock = at.with_suffix(".lock")
    with contextlib.ExitStack() as stack:
        for left in reversed(range(tries)):
            try:
                _make(lock.parent)
                for kept in (lock.parent.parent, lock.parent):
                    require_unshared(kept)
                stack.enter_context(exclusive.locked(lock))
                break
            except BlockingIOError as error:
                if not left:
                    raise InputError(
                        f"{busy} ({lock}).", hint="Wait until it has ended, then run the command again."
                    ) from error
                time.sleep(_PAUSE)
            except OSError as error:
                raise unwritable(lock, error) from error
        yield


def _make(kept: Path) -> None:
    """Make a folder, and those above that are missing, for this user alone, as the specification says."""
    missing = [one for one in (kept, *kept.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def require_unshared(kept: Path) -> None:
    """Raise InputError for a folder to which others may write, and OSError for one that does not exist."""
    if others := kept.stat().st_mode & 0o022:
        who = "its group" if others == 0o020 else "everyone"
        raise InputError(
            f"{kept} can be written by {who}, who could change which machines and manifests you accepted.",
            hint=f"chmod go-w {shlex.quote(str(kept))}",
        )


def read(at: Path, limit: int) -> bytes | None:
    """The content, or ``limit`` + 1 bytes of a larger file; None if there is no file. Raises InputError."""
    try:
        return userfile.read(at, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise userfile.unreadable(at, error) from error


def read_texts(at: Path, limit: int, damaged: InputError) -> list[str]:
    """A list of texts in canonical JSON; empty if there is no file. Raises ``damaged`` for anything else."""
    data = read(at, limit)
    if data is None:
        return []
    with contextlib.suppress(canonical.FormatError):
        value = canonical.parse_canonical(data, what="The list", limit=limit)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return list(value)
    raise damaged


def write(at: Path, content: bytes) -> None:
    """Write a file that is on the disk when this returns, or is as it was. Raises InputError."""
    with userfile.replacing(at) as part, part.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        folder = os.open(at.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # its new name: after a power failure the earlier content would be there
        finally:
            os.close(folder)
    except OSError as error:
        raise unwritable(at, error) from error


def unwritable(at: Path, error: OSError) -> userfile.FileError:
    """The error for a file of the state folder that cannot be written."""
    hint = userfile.hint(error)
    other = "XDG_STATE_HOME names another folder for what is remembered."
    return userfile.FileError(f"{at} cannot be written: {error.strerror or error}.", hint=f"{hint} {other}".lstrip())
