"""Files that a user names.

Only regular files are opened, since reading a pipe may block and reading a device may not end. What is read whole has a
limit. What is written appears when it is complete; ``write_new`` replaces nothing. ``unreadable`` and ``unwritable``
make the error of a verb out of an OSError.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Generator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from cloister.errors import InputError

FilePath = str | os.PathLike[str]
"""How a user of the Python API names a file."""

_KINDS = {
    stat.S_IFIFO: "Is a pipe, not a file",
    stat.S_IFSOCK: "Is a socket, not a file",
    stat.S_IFCHR: "Is a device, not a file",
    stat.S_IFBLK: "Is a device, not a file",
}

_KEY_HEAD = 64
"""Bytes in which a private key in PEM says that it is one."""

_SPACE = "Free some space, then run the command again."
_HINTS = {
    errno.ENOENT: "Check the path.",
    errno.ENOTDIR: "Check the path: a part of it is not a folder.",
    errno.EISDIR: "Name a file, not a folder.",
    errno.EINVAL: "Name a regular file.",
    errno.EACCES: "Check the permissions of the file and of its folders: ls -ld PATH",
    errno.EPERM: "Check the permissions of the file and of its folders: ls -ld PATH",
    errno.EROFS: "Name a place where you may write.",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "Name a place on a file system that allows larger files.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Check the path: its links form a loop.",
}


class FileError(InputError):
    """A file or folder that a user names cannot be read or written."""

    remedy = "Check the path and your permissions, then run the command again."


def unreadable(what: object, error: OSError, *, missing: str = "") -> FileError:
    """The error for ``what``, which cannot be read. ``missing`` says what to do when it does not exist."""
    return FileError(
        f"{what} cannot be read: {error.strerror or error}.",
        hint=missing if missing and error.errno == errno.ENOENT else hint(error),
    )


def unwritable(what: object, error: OSError) -> FileError:
    """The error for ``what``, which cannot be written."""
    return FileError(f"{what} cannot be written: {error.strerror or error}.", hint=hint(error))


def occupied(path: Path, rule: str, hint: str) -> FileError:
    """The error for something new at ``path``, where something is. ``rule`` says what is not overwritten; may be empty.

    A folder was probably meant as the place for the new file.
    """
    if path.is_dir():
        return FileError(f"{path} is a folder.", hint=f"Name a new file in it: {path / 'NAME'}")
    return FileError(f"{path} exists{f'; {rule}' if rule else ''}.", hint=hint)


def hint(error: OSError) -> str:
    """Return what to do about the error of a file system; empty when it is not known."""
    return _HINTS.get(error.errno or 0, "")


def open_regular(path: Path) -> BufferedReader:
    """Open the file at ``path`` for reading. Raises OSError, also for a folder, a pipe, a socket and a device."""
    # Checked before: opening a pipe waits for its other end, and opening a device may have an effect. Others may write
    # to the folder: what is there in the next moment is checked again.
    check(path)
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - returned
    try:
        _check_kind(os.fstat(file.fileno()).st_mode, path)
    except BaseException:
        file.close()
        raise
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read(path: Path, limit: int) -> bytes:
    """The content, or ``limit`` + 1 bytes of a larger file, which its parser rejects. Raises OSError."""
    with open_regular(path) as file:
        return file.read(limit + 1)


def destination(path: Path) -> Path:
    """The path to which a new file is renamed in order to replace ``path``: the target, if ``path`` is a link.

    Raises OSError if that would replace a pipe or a device, for a path without a name, such as ``.``, and for a link to
    an open file that was removed.
    """
    if not path.name:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    check(path)
    if not path.is_symlink():
        return path
    end = path.resolve()
    if path.exists() and not (end.exists() and end.samefile(path)):
        raise OSError(errno.ENOENT, "Links to a file that was removed", str(path))
    return end


def write_file(path: Path, content: bytes) -> None:
    """Write a file that appears only when it is complete, as :func:`replacing` does. Raises InputError."""
    with replacing(path) as part, part.open("xb") as file:
        file.write(content)


def open_new(path: Path | str, mode: int = 0o644, *, folder: int | None = None) -> BinaryIO:
    """A new file, open for writing; ``path`` is relative to the open ``folder``, if there is one.

    Raises FileExistsError, also when there is a link, and every other OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, mode, dir_fd=folder), "wb")


def write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a new file. Raises FileExistsError and every other OSError, and then leaves no partial file."""
    file = open_new(path, mode)
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
def replacing(path: Path) -> Generator[Path, None, None]:
    """A path beside ``path`` for a new file that takes its place at the end of the context; a link stays a link.

    Its name is random, so that no one can have put a link there before. The folder is made if it is missing. After an
    error, also Ctrl-C, the older file is unchanged and nothing of the new one is left. A private key is never replaced:
    it may be the only copy. Raises InputError for this, and for an OSError, also one of the context.
    """
    try:
        with contextlib.suppress(FileExistsError):  # if that is a file, the next line says so
            path.parent.mkdir(parents=True, exist_ok=True)
        target = destination(path)
        _refuse_key(target)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            yield part
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def _refuse_key(path: Path) -> None:
    """Raise FileError if the file at ``path`` is a private key: --key and --output were given the same name."""
    try:
        with open_regular(path) as file:
            head = file.read(_KEY_HEAD)
    except OSError:  # missing, or not readable: nothing that can be recognised
        return
    if head.startswith(b"-----BEGIN ") and b"PRIVATE KEY-----" in head:
        raise FileError(f"{path} is a private key, which is never overwritten.", hint="Name another file.")


def check(path: Path) -> None:
    """Raise OSError when something is at ``path`` that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    _check_kind(mode, path)


def _check_kind(mode: int, path: Path) -> None:
    if (said := _KINDS.get(stat.S_IFMT(mode))) is not None:
        raise OSError(errno.EINVAL, said, str(path))
