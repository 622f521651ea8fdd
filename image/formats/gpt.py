"""Write a partitioned disk: a protective MBR and two copies of a GPT.

UEFI Specification 2.10, section 5.2 (LBA 0 Format) and 5.3 (GUID Partition Table Disk Layout).
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from image.errors import ImageError

SECTOR_SIZE = 512
ALIGNMENT = 1024 * 1024
_ENTRY_COUNT = 128

# Table 5-5: signature, revision, header size, CRC, reserved, my LBA, alternate LBA, first usable, last usable,
# disk GUID, first LBA of the entries, number and size of entries, CRC of the entries.
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
# Table 5-6: type GUID, unique GUID, first LBA, last LBA, attributes, name.
_ENTRY = struct.Struct("<16s16sQQQ72s")
# Table 5-4 within Table 5-3: a partition of type 0xEE that covers the disk.
_PROTECTIVE = struct.Struct("<446xB3sB3sII48x2s")
_TABLE_SECTORS = _ENTRY_COUNT * _ENTRY.size // SECTOR_SIZE


@dataclass(frozen=True)
class Partition:
    """A partition and its contents; ``kind`` is the type GUID, ``identifier`` the unique one."""

    name: str
    kind: UUID
    identifier: UUID
    contents: bytes


def disk(partitions: Sequence[Partition], identifier: UUID) -> bytes:
    """A whole disk, with each partition at a multiple of 1 MiB in the given order."""
    if len(partitions) > _ENTRY_COUNT:
        raise ImageError(f"A partition table has at most {_ENTRY_COUNT} partitions, not {len(partitions)}.")
    start, rows, placed = ALIGNMENT, bytearray(), []
    for partition in partitions:
        name = partition.name.encode("utf-16-le").ljust(72, b"\0")
        end = _round_up(start + len(partition.contents), ALIGNMENT)
        rows += _ENTRY.pack(
            partition.kind.bytes_le,
            partition.identifier.bytes_le,
            start // SECTOR_SIZE,
            end // SECTOR_SIZE - 1,
            0,
            name,
        )
        placed.append((start, partition.contents))
        start = end
    rows += bytes(_ENTRY_COUNT * _ENTRY.size - len(rows))
    size = start + ALIGNMENT
    last = size // SECTOR_SIZE - 1
    primary = _header(1, last, 2, bytes(rows), identifier) + bytes(rows)
    backup = bytes(rows) + _header(last, 1, last - _TABLE_SECTORS, bytes(rows), identifier)
    pieces = [_PROTECTIVE.pack(0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, last, b"\x55\xaa"), primary]
    # A single copy: a disk is large.
    end = SECTOR_SIZE + len(primary)
    for offset, contents in [*placed, (size - len(backup), backup)]:
        pieces += [bytes(offset - end), contents]
        end = offset + len(contents)
    return b"".join(pieces)


def _header(mine: int, other: int, entries: int, rows: bytes, identifier: UUID) -> bytes:
    """One copy of the header, padded to a sector. ``mine`` is its own sector, ``other`` that of the other copy."""
    first_usable, last_usable = 2 + _TABLE_SECTORS, max(mine, other) - _TABLE_SECTORS - 1

    def pack(checksum: int) -> bytes:
        return _HEADER.pack(
            b"EFI PART",
            0x00010000,
            _HEADER.size,
            checksum,
            0,
            mine,
            other,
            first_usable,
            last_usable,
            identifier.bytes_le,
            entries,
            _ENTRY_COUNT,
            _ENTRY.size,
            zlib.crc32(rows),
        )

    return pack(zlib.crc32(pack(0))).ljust(SECTOR_SIZE, b"\0")


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
