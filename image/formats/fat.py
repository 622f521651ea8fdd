"""Write a FAT16 file system with a few files, for the EFI system partition.

Microsoft, "FAT: General Overview of On-Disk Format" (fatgen103), which UEFI Specification 2.10 section 13.3 builds on.
Names must fit 8.3, as every name that firmware looks for does. Times are the format's zero, 1980-01-01.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from image.errors import ImageError

_SECTOR_SIZE = 512
_CLUSTER_SIZE = 4096
_ROOT_ENTRIES = 512
# The number of clusters alone decides whether a volume is FAT16 (page 14). The minimum is 16 above the lower bound
# because some readers are off by a few (page 15).
_MIN_CLUSTERS, _MAX_CLUSTERS = 4085 + 16, 65524
_END_OF_CHAIN = 0xFFFF
_MEDIA = 0xF8
_VOLUME_LABEL = b"ESP        "

# Pages 9-11: jump, OEM name, bytes per sector, sectors per cluster, reserved, FATs, root entries, sectors (16 bit),
# media, sectors per FAT, per track, heads, hidden, sectors (32 bit), drive, reserved, signature, serial, label, type.
_BOOT_SECTOR = struct.Struct("<3s8sHBHBHHBHHHIIBBBI11s8s448x2s")
# Page 23: name, attributes, NT, creation (tenths, time, date), access date, high cluster, write time and date,
# low cluster, size.
_ENTRY = struct.Struct("<11sBBBHHHHHHHI")
_DIRECTORY, _ARCHIVE, _LABEL = 0x10, 0x20, 0x08
_EPOCH = 1 << 5 | 1


@dataclass
class _Folder:
    """A directory: name -> folder or file contents."""

    entries: "dict[str, _Folder | bytes]" = field(default_factory=dict)


@dataclass
class _Volume:
    """The clusters in order of allocation, and the table of their chains. The first cluster has number 2."""

    clusters: bytearray = field(default_factory=bytearray)
    chain: list[int] = field(default_factory=list)

    def allocate(self, size: int) -> int:
        """Allocate a chain of clusters for ``size`` bytes; return its first number, 0 for an empty file."""
        count = -(-size // _CLUSTER_SIZE)
        if not count:
            return 0
        first = 2 + len(self.chain)
        self.chain += [*range(first + 1, first + count), _END_OF_CHAIN]
        self.clusters += bytes(count * _CLUSTER_SIZE)
        return first

    def fill(self, first: int, contents: bytes) -> None:
        start = (first - 2) * _CLUSTER_SIZE
        self.clusters[start : start + len(contents)] = contents


def volume(files: Mapping[str, bytes], *, serial: int) -> bytes:
    """The smallest volume for ``files`` (path such as ``EFI/BOOT/BOOTX64.EFI`` -> contents). Raises ImageError."""
    top = _Folder()
    for path, contents in sorted(files.items()):
        *parents, name = path.split("/")
        folder = top
        for parent in parents:
            child = folder.entries.setdefault(parent, _Folder())
            if not isinstance(child, _Folder):
                raise ImageError(f"EFI system partition: a parent folder of {path} is a file.")
            folder = child
        folder.entries[name] = contents
    made = _Volume()
    root = _ENTRY.pack(_VOLUME_LABEL, _LABEL, 0, 0, 0, _EPOCH, _EPOCH, 0, 0, _EPOCH, 0, 0)
    root += _rows(made, top, own=None, parent=0)
    if len(root) > _ROOT_ENTRIES * _ENTRY.size:
        raise ImageError("EFI system partition: too many files in the root folder.")
    return _image(made, root, serial)


def _rows(made: _Volume, folder: _Folder, *, own: int | None, parent: int) -> bytes:
    """Write the files of a directory that starts at cluster ``own`` (None for the root); return its entries."""
    rows = b""
    if own is not None:
        rows += _row(b".          ", _DIRECTORY, own, 0) + _row(b"..         ", _DIRECTORY, parent, 0)
    for name, child in folder.entries.items():
        if isinstance(child, _Folder):
            first = made.allocate((len(child.entries) + 2) * _ENTRY.size)
            made.fill(first, _rows(made, child, own=first, parent=own or 0))
            rows += _row(_short_name(name), _DIRECTORY, first, 0)
        else:
            first = made.allocate(len(child))
            made.fill(first, child)
            rows += _row(_short_name(name), _ARCHIVE, first, len(child))
    return rows


def _row(name: bytes, attributes: int, first: int, size: int) -> bytes:
    return _ENTRY.pack(name, attributes, 0, 0, 0, _EPOCH, _EPOCH, 0, 0, _EPOCH, first, size)


def _short_name(name: str) -> bytes:
    base, _, extension = name.partition(".")
    if not 1 <= len(base) <= 8 or len(extension) > 3 or name != name.upper() or not name.isascii():
        raise ImageError(f"EFI system partition: {name} is not an 8.3 name.")
    return base.ljust(8).encode() + extension.ljust(3).encode()


def _image(made: _Volume, root: bytes, serial: int) -> bytes:
    clusters = max(_MIN_CLUSTERS, len(made.chain))
    if clusters > _MAX_CLUSTERS:
        raise ImageError(f"EFI system partition: {clusters} clusters needed; FAT16 has at most {_MAX_CLUSTERS}.")
    table_sectors = math.ceil((clusters + 2) * 2 / _SECTOR_SIZE)
    root_sectors = _ROOT_ENTRIES * _ENTRY.size // _SECTOR_SIZE
    sectors = 1 + 2 * table_sectors + root_sectors + clusters * _CLUSTER_SIZE // _SECTOR_SIZE
    small, large = (sectors, 0) if sectors < 0x10000 else (0, sectors)
    boot = _BOOT_SECTOR.pack(
        b"\xeb\x3c\x90",
        b"CLOISTER",
        _SECTOR_SIZE,
        _CLUSTER_SIZE // _SECTOR_SIZE,
        1,
        2,
        _ROOT_ENTRIES,
        small,
        _MEDIA,
        table_sectors,
        32,
        64,
        0,
        large,
        0x80,
        0,
        0x29,
        serial,
        _VOLUME_LABEL,
        b"FAT16   ",
        b"\x55\xaa",
    )
    table = struct.pack(f"<{len(made.chain) + 2}H", 0xFF00 | _MEDIA, _END_OF_CHAIN, *made.chain)
    table = table.ljust(table_sectors * _SECTOR_SIZE, b"\0")
    data = bytes(made.clusters).ljust(clusters * _CLUSTER_SIZE, b"\0")
    return boot + table + table + root.ljust(root_sectors * _SECTOR_SIZE, b"\0") + data
