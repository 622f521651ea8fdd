"""What an ELF file of x86-64 says to the dynamic linker: its own name, and the libraries that it needs.

System V ABI, "Object Files" (ELF header), "Program Header" and "Dynamic Section". Section headers are not used, because
the linker does not use them, and tools that change libraries move the tables.
"""

import struct
from collections.abc import Callable
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
"""Libraries in DT_NEEDED. Each is a read anywhere in the file, which may have to be unpacked again up to there."""


Read = Callable[[int, int], bytes]
"""Offset and number of bytes to the bytes, fewer at the end of the file."""


class ElfError(InputError):
    """A file is no valid ELF file of x86-64."""


@dataclass(frozen=True)
class Dynamic:
    """The names in DT_NEEDED in their order, and DT_SONAME ("" without one)."""

    needed: tuple[str, ...]
    soname: str


def dynamic(read: Read) -> Dynamic | None:
    """The dynamic section; None for a static program and for one of another processor. Raises ElfError."""
    try:
        magic, file_class, encoding, *rest = _HEADER.unpack(read(0, _HEADER.size))
        if magic != MAGIC:
            raise ElfError("The program is not an ELF file.")
        if (file_class, encoding, rest[4]) != (_CLASS_64, _LITTLE_ENDIAN, _X86_64):
            return None
        table, entry_size, count = rest[7], rest[11], rest[12]
        segments = [_SEGMENT.unpack(read(table + entry_size * index, _SEGMENT.size)) for index in range(count)]
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
            names = {
                wanted: [_name(read, strings + value) for tag, value in entries if tag == wanted]
                for wanted in (_DT_NEEDED, _DT_SONAME)
            }
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ElfError(f"Invalid ELF program: {error}.") from error
    return Dynamic(tuple(names.get(_DT_NEEDED, [])), next(iter(names.get(_DT_SONAME, [])), ""))


def _name(read: Read, offset: int) -> str:
    text, end, _ = read(offset, _MAX_NAME).partition(b"\0")
    if not end:
        raise ElfError("Invalid ELF program: a name has no end.")
    return text.decode("utf-8")
