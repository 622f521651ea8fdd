"""The kernel's and the dynamic linker's view of an ELF file: what it is for, its name, and what it needs.

System V ABI, "Object Files" (ELF header), "Program Header" and "Dynamic Section"; LSB Core 5.0, "Symbol Versioning".
Section headers are not used, because the linker does not use them, and tools that change libraries move the tables.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cloister.errors import InputError

MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<4sBBBBB7xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_NEED, _NEED_PART = struct.Struct("<HHIII"), struct.Struct("<IHHII")
CLASS_64, LITTLE_ENDIAN, X86_64 = 2, 1, 62
RELOCATABLE, EXECUTABLE, SHARED, CORE = 1, 2, 3, 4
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_NAMES = (_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH)
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_MAX_DYNAMIC = 1024 * 1024
_MAX_VERSIONS = 4096
_MAX_NAME = 4096
_MAX_NAMES = 1024
"""Libraries in DT_NEEDED."""


Read = Callable[[int, int], bytes]
"""Offset and number of bytes to the bytes, fewer at the end of the file."""


class ElfError(InputError):
    """A file is not a valid ELF file for x86-64."""


@dataclass(frozen=True)
class Dynamic:
    """The names in DT_NEEDED in their order, DT_SONAME ("" without one), and the folders in DT_RPATH and DT_RUNPATH."""

    needed: tuple[str, ...]
    soname: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class ElfProgram:
    """What decides whether a system can start a file. Of one for another processor, only the first four are read."""

    file_class: int
    byte_order: int
    machine: int
    type: int
    entry: int = 0
    interpreter: str | None = None
    """The dynamic linker that the kernel starts; None for a static program, and for a library."""

    dynamic: "Dynamic | None" = None
    versions: tuple[str, ...] = ()
    """The versions of symbols that it needs of its libraries, such as ``GLIBC_2.34``."""


def program(read: Read) -> ElfProgram:
    """Read a program. Raises ElfError for a file that is not ELF, or malformed."""
    return _program(read, linked=True)


def start(read: Read) -> ElfProgram:
    """What the kernel reads of a program: everything but its libraries and symbols. Raises ElfError as above."""
    return _program(read, linked=False)


def _program(read: Read, *, linked: bool) -> ElfProgram:
    try:
        start = read(0, _HEADER.size)
        magic, file_class, encoding, *rest = _HEADER.unpack(start)
        if magic != MAGIC:
            raise ElfError("The program is not an ELF file.")
        # Both are at the same place in the headers of every class.
        kind, machine = struct.unpack_from("<HH" if encoding == LITTLE_ENDIAN else ">HH", start, 16)
        if (file_class, encoding, machine) != (CLASS_64, LITTLE_ENDIAN, X86_64):
            return ElfProgram(file_class, encoding, machine, kind)
        segments = _segments(read, rest)
        linker = next((row for row in segments if row[0] == _PT_INTERP), None)
        entries = _entries(read, segments) if linked else None
        return ElfProgram(
            file_class,
            encoding,
            machine,
            kind,
            entry=rest[6],
            interpreter=None if linker is None else _names(read, [linker[2]])[linker[2]],
            dynamic=None if entries is None else _dynamic(read, segments, entries),
            versions=() if entries is None else _versions(read, segments, entries),
        )
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ElfError(f"Invalid ELF program: {error}.") from error


def dynamic(read: Read) -> Dynamic | None:
    """The dynamic section; None for a static program and for one of another processor. Raises ElfError.

    A file may have to be unpacked again for each read that goes back, so there are few: header, segments, dynamic
    section, and the names in the order in which they lie in the file.
    """
    try:
        magic, file_class, encoding, *rest = _HEADER.unpack(read(0, _HEADER.size))
        if magic != MAGIC:
            raise ElfError("The program is not an ELF file.")
        if (file_class, encoding, rest[4]) != (CLASS_64, LITTLE_ENDIAN, X86_64):
            return None
        segments = _segments(read, rest)
        entries = _entries(read, segments)
        return None if entries is None else _dynamic(read, segments, entries)
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise ElfError(f"Invalid ELF program: {error}.") from error


_Segment = tuple[int, ...]
_Entries = list[tuple[int, int]]


def _segments(read: Read, header: list[int]) -> list[_Segment]:
    table, entry_size, count = header[7], header[11], header[12]
    if count and entry_size != _SEGMENT.size:
        raise ElfError("Invalid ELF program: its segments are described in another size.")
    segments = list(_SEGMENT.iter_unpack(read(table, _SEGMENT.size * count)))
    if len(segments) != count:
        raise ElfError("Invalid ELF program: it ends within the description of its segments.")
    return segments


def _entries(read: Read, segments: list[_Segment]) -> _Entries | None:
    """Tags and values of the dynamic section."""
    found = next((row for row in segments if row[0] == _PT_DYNAMIC), None)
    if found is None:
        return None
    size = min(found[5], _MAX_DYNAMIC) // _DYNAMIC.size * _DYNAMIC.size
    entries: _Entries = []
    for tag, value in _DYNAMIC.iter_unpack(read(found[2], size)):
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    if sum(tag in _NAMES for tag, _ in entries) > _MAX_NAMES:
        raise ElfError(f"Invalid ELF program: it needs more than {_MAX_NAMES} libraries.")
    return entries


def _place(segments: list[_Segment], address: int) -> int | None:
    """Where the file has what is loaded at ``address``."""
    loaded = next((row for row in segments if row[0] == _PT_LOAD and row[3] <= address < row[3] + row[5]), None)
    return None if loaded is None else address - loaded[3] + loaded[2]


def _dynamic(read: Read, segments: list[_Segment], entries: _Entries) -> Dynamic:
    strings = _place(segments, dict(entries).get(_DT_STRTAB, 0))
    if strings is None:
        if any(tag == _DT_NEEDED for tag, _ in entries):
            raise ElfError("Invalid ELF program: the table of strings is in no segment.")
        return Dynamic((), "")
    named = [(tag, strings + value) for tag, value in entries if tag in _NAMES]
    texts = _names(read, {place for _, place in named})
    names = {wanted: [texts[place] for tag, place in named if tag == wanted] for wanted, _ in named}
    searched = [*names.get(_DT_RPATH, []), *names.get(_DT_RUNPATH, [])]
    return Dynamic(
        tuple(names.get(_DT_NEEDED, [])),
        next(iter(names.get(_DT_SONAME, [])), ""),
        tuple(folder for one in searched for folder in one.split(":")),
    )


def _versions(read: Read, segments: list[_Segment], entries: _Entries) -> tuple[str, ...]:
    known = dict(entries)
    at, strings = (_place(segments, known.get(tag, 0)) for tag in (_DT_VERNEED, _DT_STRTAB))
    if _DT_VERNEED not in known or at is None or strings is None:
        return ()
    places: list[int] = []
    for _ in range(min(known.get(_DT_VERNEEDNUM, 0), _MAX_NAMES)):
        _, count, _, first, following = _NEED.unpack(read(at, _NEED.size))
        part = at + first
        for _ in range(count):
            *_, name, step = _NEED_PART.unpack(read(part, _NEED_PART.size))
            places.append(strings + name)
            if len(places) > _MAX_VERSIONS:
                raise ElfError(f"Invalid ELF program: it needs more than {_MAX_VERSIONS} versions of symbols.")
            if not step:
                break
            part += step
        if not following:
            break
        at += following
    return tuple(sorted(_names(read, set(places)).values()))


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
