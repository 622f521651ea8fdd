"""Write the disk for Google Cloud: a gzip of a tar with the single member ``disk.raw``, of whole GiB.

Google, "Manually import boot disks": format oldgnu, `tar --format=oldgnu -Sczf`. The member is sparse: zeros are not
stored. The disk is the one of all platforms, followed by zeros up to the next GiB. Firmware measures the same partition
table, because the backup table stays where the primary table says and is not moved to the new end.

The gzip stores blocks uncompressed (RFC 1951, section 3.2.4): the disk's contents are compressed already, and the bytes
of a compressor depend on its version.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from image.errors import ImageError
from image.formats import sparse
from image.formats.sparse import Extent

MEMBER = "disk.raw"
_GIBIBYTE = 1 << 30
# Zero blocks of this size are left out. This gives a map of a few dozen entries, with few zeros in between.
_GRANULE = 1 << 16

# GNU tar, tar.h: posix_header and oldgnu_header. Name, mode, uid, gid, size, mtime, checksum, type, link, magic with
# version, user, group, device, atime, ctime, offset, long names, four entries of the map, whether the map
# continues, the real size.
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s16s12s12s12s4sx96s?12s17x")
_CHECKSUM = slice(148, 156)
_SPARSE, _MAGIC = b"S", b"ustar  \0"
# sparse_header: 21 more entries, and whether the map continues.
_MORE = struct.Struct("504s?7x")
_IN_HEADER, _IN_MORE = 4, 21
_RECORD = 20 * 512

# RFC 1952, section 2.3: magic, deflate, no flags, no time, no extra flags, an unknown system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
_STORED = struct.Struct("<BHH")
_STORED_MAX = 0xFFFF


def build(disk: bytes) -> tuple[bytes | memoryview, ...]:
    """The pieces of the file, most of them views of ``disk``. Raises ImageError for a disk without whole sectors."""
    return tuple(_gzip(_tar(disk)))


def padded(size: int) -> int:
    """``size`` rounded up to whole GiB."""
    return -(-size // _GIBIBYTE) * _GIBIBYTE


def _tar(disk: bytes) -> Iterator[memoryview]:
    if not disk or len(disk) % 512:
        raise ImageError(f"Invalid disk: {len(disk)} bytes are not whole sectors of 512 bytes.")
    extents, contents, size = sparse.extents(disk, _GRANULE), memoryview(disk), 0
    header = _header(extents, padded(len(disk)))
    yield memoryview(header)
    for extent in extents:
        yield contents[extent.offset : extent.end]
        size += extent.size
    # An archive ends with two empty blocks, padded to a whole record.
    end = len(header) + size + 1024
    yield memoryview(bytes(1024 + -end % _RECORD))


def _header(extents: Sequence[Extent], real_size: int) -> bytes:
    # The last entry is empty and marks the end of the file.
    entries = [_entry(extent.offset, extent.size) for extent in extents] + [_entry(real_size, 0)]
    stored = sum(extent.size for extent in extents)
    more = [entries[at : at + _IN_MORE] for at in range(_IN_HEADER, len(entries), _IN_MORE)]

    def pack(checksum: bytes) -> bytes:
        return _HEADER.pack(
            MEMBER.encode(),
            b"0000644\0",
            b"0000000\0",
            b"0000000\0",
            _octal(stored),
            _octal(0),
            checksum,
            _SPARSE,
            b"",
            _MAGIC,
            b"",
            b"",
            b"",
            b"",
            b"",
            b"",
            b"",
            b"".join(entries[:_IN_HEADER]),
            bool(more),
            _octal(real_size),
        )

    first = bytearray(pack(b" " * 8))
    first[_CHECKSUM] = b"%06o\0 " % sum(first)
    return bytes(first) + b"".join(_MORE.pack(b"".join(part), index < len(more) - 1) for index, part in enumerate(more))


def _entry(offset: int, size: int) -> bytes:
    return _octal(offset) + _octal(size)


def _octal(number: int) -> bytes:
    """Eleven octal digits and a NUL: up to 8 GiB, more than any disk of an image has."""
    if number >= 8**11:
        raise ImageError(f"The disk is too large for the tar format: {number} bytes; the limit is 8 GiB.")
    return b"%011o\0" % number


def _gzip(pieces: Iterator[memoryview]) -> Iterator[bytes | memoryview]:
    yield _GZIP_HEADER
    checksum, size = 0, 0
    for piece in pieces:
        checksum, size = zlib.crc32(piece, checksum), size + len(piece)
        for at in range(0, len(piece), _STORED_MAX):
            part = piece[at : at + _STORED_MAX]
            yield _STORED.pack(0, len(part), len(part) ^ 0xFFFF)
            yield part
    yield _STORED.pack(1, 0, 0xFFFF)
    yield struct.pack("<II", checksum, size & 0xFFFFFFFF)
