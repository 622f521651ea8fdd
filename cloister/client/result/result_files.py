"""Unpacking a proven result into a folder."""

import secrets
import zipfile
from pathlib import Path
from typing import IO

from cloister.client.files import exclusive
from cloister.client.result.proof import RESULTS
from cloister.errors import InputError
from cloister.protocol import slot


def unpack_result(results: Path, folder: Path) -> list[Path]:
    """Write the files of a proven result below ``folder``, without the prefix ``results/``, and return their paths.

    Existing files are replaced one by one, each when the new one is complete. Raises InputError.
    """
    written = []
    with zipfile.ZipFile(results) as archive:
        for name in archive.namelist():
            if not name.startswith(RESULTS):
                continue
            path = folder / name.removeprefix(RESULTS)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source:
                    _replace(source, path)
            except OSError as error:
                raise InputError(f"{path} cannot be written: {error.strerror}.") from error
            written.append(path)
    return written


def _replace(source: IO[bytes], path: Path) -> None:
    """Write ``path`` through a new file with an unpredictable name. Raises OSError."""
    part = path.with_name(f".cloister-{secrets.token_hex(16)}")
    try:
        with exclusive.opened(part) as target:
            while data := source.read(slot.SEGMENT):
                target.write(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
