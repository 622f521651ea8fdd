"""The reasons why an archive is refused."""

import lzma
import zlib
from collections.abc import Callable

from cloister.errors import InputError

REPACK = "Repack the original files, for example with `zip -r data.zip FOLDER` or `tar -czf data.tar.gz FOLDER`."
AGAIN = "Get or make the archive again; the copy is incomplete or was changed."
FOLLOW = "Copy the folder with `cp -rL FOLDER COPY`, which replaces links by the files they lead to, and use the copy."

DECODE_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError)
"""What the standard library's decompressors raise on malformed input."""


class ArchiveError(InputError):
    """A folder cannot be archived, or an archive is invalid."""

    remedy = "Rename, remove or pack these files, then run the command again."


class NotAnArchive(ArchiveError):
    """The first bytes are not those of an archive: the file is only bytes."""


def decode(step: Callable[[bytes, int], bytes], data: bytes, size: int, what: str) -> bytes:
    """One step of a decompressor. Raises ArchiveError, naming ``what``, for what it cannot decode."""
    try:
        return step(data, size)
    except Exception as error:
        # Zstandard's own error has no other base, and its module may not be loaded.
        if not isinstance(error, DECODE_ERRORS) and type(error).__name__ != "ZstdError":
            raise
        if isinstance(error, MemoryError) or "emory" in str(error):
            raise ArchiveError(f"{what} needs more memory to unpack than is allowed.", hint=REPACK) from error
        raise ArchiveError(f"{what} is damaged: its compressed data or its checksum is wrong.", hint=AGAIN) from error
