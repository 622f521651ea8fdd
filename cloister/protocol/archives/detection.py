"""The kind of a file, by its first bytes.

Sources: PKWARE APPNOTE 6.3.10, RFC 1952, RFC 8878, POSIX.1-1988 (ustar), and the formats' own descriptions.
"""

import re
from enum import Enum

from cloister.protocol.archives.errors import ArchiveError, NotAnArchive


class Kind(Enum):
    """What can be unpacked; the value is the first bytes."""

    ZIP = b"PK"
    TAR = b""
    GZIP = b"\x1f\x8b"
    BZIP2 = b"BZh"
    XZ = b"\xfd7z"


BLOCK = 512
"""Bytes of a tar's block."""

_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")

_KINDS = (
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    (b"\x1f\x8b", Kind.GZIP),
    (b"BZh", Kind.BZIP2),
    (b"\xfd7zXZ\0", Kind.XZ),
)
_DECOMPRESS = "Decompress it with `{}`, and use the tar, or compress that with gzip, bzip2 or xz."
_REPACK = "Unpack it, then repack it, for example with `zip -r data.zip FOLDER`."
_UNSUPPORTED = (
    (b"PK\x07\x08", "one volume of a zip in several", "Join the volumes with `zip -s 0 FIRST.zip --out data.zip`."),
    (b"PK00PK\x03\x04", "a zip that was to be split", "Repack it with `zip -s 0 FIRST.zip --out data.zip`."),
    (b"PK\x06\x08", "an encrypted zip", "Repack it without a password; the upload is encrypted anyway."),
    (b"(\xb5/\xfd", "compressed with Zstandard", _DECOMPRESS.format("zstd -d")),
    *(
        (bytes([0x50 + low]) + b"*M\x18", "compressed with Zstandard", _DECOMPRESS.format("zstd -d"))
        for low in range(16)
    ),
    (b'\x04"M\x18', "compressed with LZ4", _DECOMPRESS.format("lz4 -d")),
    (b"LZIP", "compressed with lzip", _DECOMPRESS.format("lzip -d")),
    (b"]\0\0", "compressed with LZMA", _DECOMPRESS.format("xz -d")),
    (b"\x1f\x9d", "compressed with compress", _DECOMPRESS.format("gzip -d")),
    (b"\x1f\xa0", "compressed with compress", _DECOMPRESS.format("gzip -d")),
    (b"\x89LZO\0\r\n\x1a\n", "compressed with lzop", _DECOMPRESS.format("lzop -d")),
    (b"7z\xbc\xaf'\x1c", "a 7z archive", _REPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _REPACK),
    (b"MSCF\0\0\0\0", "a cabinet", _REPACK),
    (b"xar!\0", "an xar archive", _REPACK),
    (b"!<arch>\n", "an ar archive", _REPACK),
    (b"070701", "a cpio archive", _REPACK),
    (b"070702", "a cpio archive", _REPACK),
    (b"070707", "a cpio archive", _REPACK),
    (b"MSWIM\0\0\0", "a WIM archive", _REPACK),
)


def detect(first: bytes) -> Kind:
    """The kind of a file with these first bytes (a tar's block).

    Raises ArchiveError for an archive of an unsupported kind, NotAnArchive for everything else.
    """
    for magic, kind in _KINDS:
        if first.startswith(magic):
            return kind
    if is_tar(first):
        return Kind.TAR
    for magic, said, remedy in _UNSUPPORTED:
        if first.startswith(magic):
            raise ArchiveError(f"The file is {said}, which is not supported.", hint=remedy)
    raise NotAnArchive(
        "The file cannot be unpacked: it does not begin as a zip or a tar (plain, gzip, bzip2 or xz).",
        hint="Name a zip, a tar or a folder, or write `unpack: false`.",
    )


def is_tar(block: bytes) -> bool:
    """Return whether a tar can begin with this block: a header with a correct checksum, or an empty tar's zeros."""
    if len(block) < BLOCK:
        return False
    return not any(block) or is_header(block)


def is_header(block: bytes) -> bool:
    """Return whether the checksum of a tar's header is correct: the sum of its bytes, that field counted as spaces."""
    stated = octal(block[148:156])
    if stated is None:
        return False
    total = sum(block) - sum(block[148:156]) + 8 * 32
    # Some old programs added signed bytes.
    return stated == total or stated == total - 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def octal(field: bytes) -> int | None:
    """A number of a tar's header: octal digits, then spaces and zero bytes (POSIX.1-1988 10.1.1); None for others.

    Programs before POSIX put spaces before the digits, and some fill the field, so that nothing ends the digits.
    """
    found = _OCTAL.fullmatch(field)
    return None if found is None else int(found[1], 8)
