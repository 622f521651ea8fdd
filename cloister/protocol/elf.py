"""The dynamic linker's view of an ELF file of x86-64: its own name, and the libraries that it needs.

System V ABI, "Object Files" (ELF header), "Program Header" and "Dynamic Section". Section headers are not used, because
the linker does not use them, and tools that change libraries move the tables.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cloister.errors import InputError

MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<4sBBBBB7xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_CLASS_64, _LITTLE_ENDIAN, _X86_64 = 2, 1, 62
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME = 0, 1, 5, 14
_MAX_DYNAMIC = 1024 * 1024
_MAX_NAME = 4096
_MAX_NAMES = 1024
"""Libraries in DT_NEEDED."""


Read = Callable[[int, int], bytes]
"""Offset and number of bytes to the bytes, fewer at the end of the file."""


class ElfError(InputError):
    """A file is not a valid ELF file for x86-64."""


@dataclass(frozen=True)
class Dynamic:
    """The names in DT_NEEDED in their order, and DT_SONAME ("" without one)."""

    needed: tuple[str, ...]
    soname: str


def dynamic(read: Read) -> Dynamic | None:
    """The dynamic section; None for a static program and for one of another processor. Raises ElfError.

    A file may have to be unpacked again for each read that goes back, so there are few: header, segments, dynamic
    section, and the names in the order in which they lie in the file.
    """
    try:
        magic, file_class, encoding, *rest = _HEADER.unpack(read(0, _HEADER.size))
        if magic != MAGIC:
            raise ElfError("The program is not an ELF file.")
        if (file_class, encoding, rest[4]) != (_CLASS_64, _LITTLE_ENDIAN, _X86_64):
            return None
        table, entry_size, count = rest[7], rest[11], rest[12]
        if count and entry_size != _SEGMENT.size:
            raise ElfError("Invalid ELF program: its segments are described in another size.")
        segments = list(_SEGMENT.iter_unpack(read(table, _SEGMENT.size * count)))
        if len(segments) != count:
            raise ElfError("Invalid ELF program: it ends within the description of its segments.")
        found = next((row for row in segments if row[0] == _PT_DYNAMIC), None)
        if found is None:
            return None
        size = min(found[5], _MAX_DYNAMIC) // _DYNAMIC.size * _DYNAMIC.size
        entries: list[tuple[int, int]] = []
        for tag, value in _DYNAMIC.iter_unpack(read(found[2], size)):
            if tag == _DT_NULL:
                break
            entries.append((tag, value))
        if sum(tag in (_DT_NEEDED, _DT_SONAME) for tag, _ in entries) > _MAX_NAMES:
            raise ElfError(f"Invalid ELF program: it needs more than {_MAX_NAMES} libraries.")
        address = dict(entries).get(_DT_STRTAB, 0)
        loaded = next((row for row in segments if row[0] == _PT_LOAD and row[3] <= address < row[3] + row[5]), None)
        if loaded is None:
            names: dict[int, list[str]] = {}
            if any(tag == _DT_NEEDED for tag, _ in entries):
                raise ElfError("Invalid ELF program: the table of strings is in no segment.")
        else:
            strings = address - loaded[3] + loaded[2]
            named = [(tag, strings + value) for tag, value in entries if tag in (_DT_NEEDED, _DT_SONAME)]
            texts = _names(read, {place for _, place in named})
            names = {wanted: [texts[place] for tag, place in named if tag == wanted] for wanted, _ in named}
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ElfError(f"Invalid ELF program: {error}.") from error
    return Dynamic(tuple(names.get(_DT_NEEDED, [])), next(iter(names.get(_DT_SONAME, [])), ""))


def _names(read: Read, places: Iterable[int]) -> dict[int, str]:
    """The names at some places, read forwards."""
    found = {}
    data, start = b"", 0
    for place in sorted(places):
        data, start = data[place - start :], place
        if len(data) < _MAX_NAME:
            data += read(start + len(data), 2 * _MAX_NAME)
        text, end, _ = data[:_MAX_NAME].partition(b"\0")
        if not end:
            raise ElfError("Invalid ELF program: a name has no end.")
        found[place] = text.decode("utf-8")
    return found
