"""Adds files with long names to the EFI system partition, as a host can that has the disk.

Microsoft, "FAT: General Overview of On-Disk Format" (fatgen103), pages 23-29: directory entries and long names. The
image's own writer (image/formats/fat.py) needs neither long names nor changes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_ENTRY = 32
_DIRECTORY, _ARCHIVE, _LONG = 0x10, 0x20, 0x0F
_LAST_LONG, _FREE, _END = 0x40, 0xE5, 0xFFFF
_CHARACTERS = 13
"""Characters of a long name in one entry."""


@dataclass
class Esp:
    """A FAT16 volume, changed in place."""

    volume: bytearray

    def __post_init__(self) -> None:
        sector, self._per_cluster, reserved, tables, self._root_entries = struct.unpack_from("<HBHBH", self.volume, 11)
        (table_sectors,) = struct.unpack_from("<H", self.volume, 22)
        self._cluster = sector * self._per_cluster
        self._tables = [(reserved + number * table_sectors) * sector for number in range(tables)]
        self._root = (reserved + tables * table_sectors) * sector
        self._data = self._root + self._root_entries * _ENTRY
        self._clusters = (len(self.volume) - self._data) // self._cluster
        self._aliases = 0

    def add(self, path: str, contents: bytes) -> None:
        """Write a new file; its folders are made if they are missing."""
        *folders, name = path.split("/")
        place: int | None = None
        for folder in folders:
            found = self._find(place, folder)
            if found is None:
                found = self._allocate(1)
                dots = self._row(b".          ", _DIRECTORY, found, 0) + self._row(
                    b"..         ", _DIRECTORY, place or 0, 0
                )
                self._write(found, dots.ljust(self._cluster, b"\0"))
                self._enter(place, folder, _DIRECTORY, found, 0)
            place = found
        first = self._allocate(-(-len(contents) // self._cluster))
        self._write(first, contents)
        self._enter(place, name, _ARCHIVE, first, len(contents))

    def _find(self, folder: int | None, name: str) -> int | None:
        """The first cluster of the folder ``name`` in a folder; None stands for the root and for not found."""
        long = ""
        for at in self._slots(folder):
            entry = self.volume[at : at + _ENTRY]
            if entry[0] in (0, _FREE):
                continue
            if entry[11] == _LONG:
                part = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le")
                long = part.split("\0")[0].rstrip("\uffff") + long
                continue
            short = entry[:8].decode().rstrip() + (f".{entry[8:11].decode().rstrip()}").rstrip(".")
            if name.lower() in (long.lower(), short.lower()):
                return struct.unpack_from("<H", entry, 26)[0]
            long = ""
        return None

    def _enter(self, folder: int | None, name: str, attributes: int, first: int, size: int) -> None:
        self._aliases += 1
        alias = f"HOST{self._aliases:04}   ".encode()
        checksum = 0
        for byte in alias:
            checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
        text = name.encode("utf-16-le") + (b"\0\0" if len(name) % _CHARACTERS else b"")
        count = -(-len(name) // _CHARACTERS)
        text = text.ljust(count * _CHARACTERS * 2, b"\xff")
        rows = []
        for number in reversed(range(count)):
            part = text[number * _CHARACTERS * 2 :][: _CHARACTERS * 2]
            order = number + 1 | (_LAST_LONG if number == count - 1 else 0)
            rows.append(bytes([order]) + part[:10] + bytes([_LONG, 0, checksum]) + part[10:22] + b"\0\0" + part[22:])
        rows.append(self._row(alias, attributes, first, size))
        free = [at for at in self._slots(folder) if self.volume[at] == 0]
        for at, row in zip(free, rows, strict=False):
            self.volume[at : at + _ENTRY] = row
        if len(free) <= len(rows):
            raise ValueError(f"The folder has no space for {name}.")

    @staticmethod
    def _row(name: bytes, attributes: int, first: int, size: int) -> bytes:
        return name + struct.pack("<BBBHHHHHHHI", attributes, 0, 0, 0, 33, 33, 0, 0, 33, first, size)

    def _slots(self, folder: int | None) -> Iterator[int]:
        if folder is None:
            yield from range(self._root, self._data, _ENTRY)
            return
        while folder < 0xFFF0:
            start = self._data + (folder - 2) * self._cluster
            yield from range(start, start + self._cluster, _ENTRY)
            (folder,) = struct.unpack_from("<H", self.volume, self._tables[0] + 2 * folder)

    def _allocate(self, count: int) -> int:
        free: list[int] = []
        for number in range(2, self._clusters + 2):
            if len(free) == count:
                break
            at = self._tables[0] + 2 * number
            if self.volume[at : at + 2] == b"\0\0":
                free.append(number)
        if len(free) < count or not count:
            raise ValueError(f"The volume has no {count} free clusters.")
        for number, following in zip(free, [*free[1:], _END], strict=True):
            for table in self._tables:
                struct.pack_into("<H", self.volume, table + 2 * number, following)
        if free != list(range(free[0], free[0] + count)):
            raise ValueError("The free clusters are not in one piece.")
        return free[0]

    def _write(self, first: int, contents: bytes) -> None:
        start = self._data + (first - 2) * self._cluster
        self.volume[start : start + len(contents)] = contents
