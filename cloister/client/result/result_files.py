"""Unpacking a proven result into a folder."""

import secrets
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from cloister.client.files import exclusive
from cloister.errors import InputError
from cloister.protocol import names

_PIECE = 1024 * 1024


def unpack_result(results: Path, folder: Path, keep: Iterable[Path] = ()) -> list[Path]:
    """Write the files of the run in a proven result below ``folder``, without the proof, and return their paths.

    Existing files are replaced one by one, each when the new one is complete. If one of them is ``results`` or one of
    ``keep``, nothing is written, and InputError names it: the algorithm chose the names. No file of the result replaces
    another: where upper and lower case, or forms of Unicode, are the same, InputError names both. Raises InputError.
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
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source:
                    _replace(source, path)
                written[_identity(path)] = path
            except OSError as error:
                problem = f"{names.shown(str(path))} cannot be written: {error.strerror}."
                raise InputError(problem, hint=_whole(results)) from error
    return list(written.values())


def _whole(results: Path) -> str:
    return f"The whole result is in {results}; unpack it elsewhere."


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


def _replace(source: IO[bytes], path: Path) -> None:
    """Write ``path`` through a new file with an unpredictable name. Raises OSError."""
    part = path.with_name(f".cloister-{secrets.token_hex(16)}")
    try:
        with exclusive.opened(part) as target:
            while data := source.read(_PIECE):
                target.write(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
