"""Unpacking a proven result into a folder."""

import contextlib
import os
import secrets
import shlex
import tempfile
import zipfile
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import IO

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol import names

_PIECE = 1024 * 1024


def require_folder(folder: Path) -> None:
    """Raise InputError if nothing can be written into ``folder``, which may not exist yet: a result comes only once."""
    near = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))  # a broken link, too
    try:
        os.rmdir(tempfile.mkdtemp(dir=near))
    except OSError as error:
        raise InputError(
            f"The result cannot be unpacked into {folder}: {near}: {error.strerror}.",
            hint="Nothing was fetched. Name a folder with --unpack in which you may write.",
        ) from error


def unpack_result(results: Path, folder: Path, keep: Iterable[Path] = ()) -> list[Path]:
    """Write the files of the run in a proven result below ``folder``, without the proof, and return their paths.

    Existing files are replaced one by one, each when the new one is complete. If one of them is ``results`` or one of
    ``keep``, nothing is written, and InputError names it: the algorithm chose the names. No file of the result replaces
    another: where upper and lower case, or forms of Unicode, are the same, InputError names both. No link in ``folder``
    is followed. Raises InputError.
    """
    written: dict[tuple[int, int], Path] = {}
    # A link, too: replacing it would be as good as replacing its target.
    kept = {_identity(at): path for path in (results, *keep) if path.exists() for at in (path, path.resolve())}
    with zipfile.ZipFile(results) as archive:
        found = [name for name in archive.namelist() if not names.in_proof_folder(name)]
        for name in found:
            if (path := kept.get(_identity_or_free(folder / name))) is not None:
                raise InputError(
                    f"The result has a file {names.shown(name)}, which would replace your {names.shown(str(path))}.",
                    hint=_whole(results),
                )
        for name in found:
            path = folder / name
            if folder not in path.parents:  # on Windows: a letter and a colon
                raise InputError(f"{names.shown(name)} cannot be written on this system.", hint=_whole(results))
            try:
                if (before := written.get(_identity(path))) is not None:
                    raise InputError(
                        f"{names.shown(str(before))} and {names.shown(str(path))} are one file on this file system.",
                        hint=_whole(results),
                    )
                with _folder_of(folder, path) as place, archive.open(name) as source:
                    _replace(source, path.name, place)
                written[_identity(path)] = path
            except OSError as error:
                problem = f"{names.shown(str(path))} cannot be written: {error.strerror}."
                raise InputError(problem, hint=_whole(results)) from error
    return list(written.values())


def _whole(results: Path) -> str:
    command = shlex.join(["python3", "-m", "zipfile", "-e", str(results), "FOLDER"])
    return f"The whole result is in {results}; unpack it elsewhere: {command}"


def _identity(path: Path) -> tuple[int, int]:
    """Identifies the file at ``path``; zeros if the path is free. Raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def _identity_or_free(path: Path) -> tuple[int, int]:
    """As :func:`_identity`; zeros also if nothing can be at ``path``."""
    try:
        return _identity(path)
    except OSError:
        return 0, 0


@contextlib.contextmanager
def _folder_of(top: Path, path: Path) -> Generator[int]:
    """The open folder of ``path``, made where it is missing. No link below ``top`` is followed: who put it there would
    choose where the algorithm's files are written. Raises OSError.
    """
    top.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    at = os.open(top, flags)
    try:
        for name in path.relative_to(top).parts[:-1]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=at)
            try:
                inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
            except NotADirectoryError as error:
                raise OSError(error.errno, f"{names.shown(name)} is a link or a file, not a folder") from error
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)


def _replace(source: IO[bytes], name: str, folder: int) -> None:
    """Write a file of an open folder through a new one with an unpredictable name. Raises OSError."""
    part = f".cloister-{secrets.token_hex(16)}"
    try:
        with userfile.open_new(part, folder=folder) as target:
            while data := source.read(_PIECE):
                target.write(data)
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
