"""The directory of a zip: its members, as the end of the file lists them.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16, 4.4 and 4.5.3; Info-ZIP's extra field 0x7075 (4.6.9). The
directory is read as strictly as it is written: it ends where its end record begins, and that ends the file.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from cloister.protocol.archives import paths
from cloister.protocol.archives.errors import AGAIN, REPACK, ArchiveError
from cloister.protocol.archives.limits import MAX_DIRECTORY, MAX_ENTRIES
from cloister.protocol.archives.reader import Source

ENCRYPTED = 0x2041
"""Flags: bit 0, strong encryption, and an encrypted directory."""

HAS_DESCRIPTOR = 0x0008
IS_UTF8 = 0x0800
_PATCH = 0x0020
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_RECORD = struct.Struct("<4s6H3I5H2I")
_LONGEST_COMMENT = 0xFFFF
_FULL32 = 0xFFFFFFFF
_EXTRA64 = 0x0001
_EXTRA_NAME = 0x7075
_DOS_FOLDER = 0x10
"""An attribute of MS-DOS."""

_DOS = (0, 10)
"""Creators whose paths have backslashes: MS-DOS and NTFS (4.4.2.2)."""


class ZipMember(NamedTuple):
    """A member of a zip. ``raw`` are the bytes of its name, ``mode`` that of Unix, or 0."""

    offset: int
    path: str
    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    folder: bool


class Directory(NamedTuple):
    """Where the directory begins, and its members in the order of their bytes in the file."""

    offset: int
    members: list[ZipMember]


class _End(NamedTuple):
    offset: int
    size: int
    members: int
    exact: bool
    """``members`` has all its bits."""


def read_directory(source: Source) -> Directory:
    """The directory of a zip. Raises ArchiveError."""
    end = _bounded_end(source)
    found = sorted(_member(*record) for record in _records(source, end))
    # macOS writes zips of more than 65,535 members without the fields for that number.
    if len(found) != end.members and (end.exact or len(found) % 0x10000 != end.members):
        raise ArchiveError(f"The zip says that it has {end.members} members, and has {len(found)}.", hint=AGAIN)
    return Directory(end.offset, found)


def count_members(source: Source) -> int:
    """The number of members of a zip: for readers that then hold the whole directory. Raises ArchiveError."""
    return sum(1 for _ in _records(source, _bounded_end(source)))


def _bounded_end(source: Source) -> _End:
    end = _find_end(source)
    if end.size > MAX_DIRECTORY:
        raise ArchiveError(f"The zip's directory has {end.size} bytes; at most {MAX_DIRECTORY} are read.", hint=REPACK)
    if end.exact and end.members > MAX_ENTRIES:
        raise ArchiveError(
            f"The zip has {end.members} members; at most {MAX_ENTRIES} files and folders are unpacked.",
            hint="Split the data into several datasets, or pack the files into fewer, larger ones.",
        )
    return end


def _find_end(source: Source) -> _End:
    length = min(source.size, _END.size + _LONGEST_COMMENT)
    tail = source.at(source.size - length, length)
    places = []
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if at + _END.size <= length and at + _END.size + int.from_bytes(tail[at + 20 : at + 22], "little") == length:
            places.append(at)
        at = tail.rfind(b"PK\5\6", 0, at)
    if not places:
        raise ArchiveError(
            "The zip is truncated, or other data follows it: its directory is not at the end.", hint=AGAIN
        )
    if len(places) > 1:
        raise ArchiveError("The zip has two ends of its directory, one of them in a comment.", hint=REPACK)
    where = source.size - length + places[0]
    _, disk, first, here, members, size, offset, _ = _END.unpack_from(tail, places[0])
    end = _End(offset, size, members, False)
    locator = source.at(where - _LOCATOR.size, _LOCATOR.size) if where >= _LOCATOR.size else b""
    if locator.startswith(b"PK\6\7"):
        end, where = _end64(source, where - _LOCATOR.size, locator, (members, size, offset))
    elif disk or first or here != members:
        raise _volumes()
    if end.offset + end.size != where:
        raise ArchiveError(
            "The zip's directory is not where its end says: bytes were added before or inside it, or it is truncated.",
            hint="Repack the original files; a self-extracting zip becomes one with `zip -A` and `zip -J`.",
        )
    return end


def _end64(source: Source, where: int, locator: bytes, short: tuple[int, int, int]) -> tuple[_End, int]:
    """The end record with wide fields, and where it begins; ``short`` are the narrow fields, full or the same."""
    _, disk, place, disks = _LOCATOR.unpack(locator)
    if disk or disks > 1:
        raise _volumes()
    record = source.at(place, _END64.size)
    if len(record) < _END64.size or not record.startswith(b"PK\6\6"):
        raise ArchiveError("The zip is damaged: its directory's zip64 end record is missing.", hint=AGAIN)
    _, length, _, _, disk, first, here, members, size, offset = _END64.unpack(record)
    if disk or first or here != members:
        raise _volumes()
    wide = (members, size, offset)
    full = (0xFFFF, _FULL32, _FULL32)
    same = all(one in (limit, value) for one, limit, value in zip(short, full, wide, strict=True))
    if not same or place + 12 + length != where:
        raise ArchiveError("The zip contradicts itself about its directory.", hint=REPACK)
    return _End(offset, size, members, True), place


def _volumes() -> ArchiveError:
    return ArchiveError(
        "The file is one volume of a multi-volume zip, which is not supported.",
        hint="Join the volumes with `zip -s 0 FIRST.zip --out data.zip`.",
    )


def _records(source: Source, end: _End) -> Iterator[tuple[tuple[Any, ...], bytes, bytes]]:
    """Fields, name and extra fields of each member, in the order of the directory."""
    position, stop = end.offset, end.offset + end.size
    data, at = b"", 0
    count = 0
    while position < stop:
        if len(data) - at < _LONGEST_RECORD and position + len(data) - at < stop:
            data, at = source.at(position, min(stop - position, 16 * _LONGEST_RECORD)), 0
        try:
            fields = _RECORD.unpack_from(data, at)
        except struct.error as error:
            raise _damaged() from error
        lengths = fields[10:13]
        length = _RECORD.size + sum(lengths)
        if fields[0] != b"PK\1\2" or position + length > stop:
            raise _damaged()
        count += 1
        if count > MAX_ENTRIES:
            raise ArchiveError(f"The zip has more than {MAX_ENTRIES} members.", hint="Split it into several datasets.")
        body = data[at + _RECORD.size : at + length]
        yield fields, body[: lengths[0]], body[lengths[0] : lengths[0] + lengths[1]]
        position += length
        at += length


_LONGEST_RECORD = _RECORD.size + 3 * 0xFFFF


def _member(fields: tuple[Any, ...], raw: bytes, extra: bytes) -> ZipMember:
    _, made, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, offset = fields
    if flags & ENCRYPTED or method == 99:
        raise ArchiveError(
            f"Member {paths.shown(raw)} is encrypted.",
            hint="Repack it without a password; the upload is encrypted anyway.",
        )
    if flags & _PATCH:
        raise ArchiveError(f"Member {paths.shown(raw)} is a patch of another file.", hint=REPACK)
    wide = wide_fields(extra, size, packed, offset, disk)
    if wide is None:
        raise ArchiveError(f"The size of member {paths.shown(raw)} is missing from the directory.", hint=REPACK)
    size, packed, offset, disk = wide
    if disk:
        raise _volumes()
    name = _name(raw, flags, extra)
    if made >> 8 in _DOS:
        name = name.replace("\\", "/")
    mode = attributes >> 16
    # A folder's name ends with a slash; some programs on Windows only set the attribute.
    is_marked = stat.S_ISDIR(mode) or (not mode and bool(attributes & _DOS_FOLDER))
    folder = name.endswith("/") or (is_marked and not size)
    path = paths.clean(name, folder=folder)
    return ZipMember(offset, path, raw, flags, method, crc, packed, size, mode, folder)


def _name(raw: bytes, flags: int, extra: bytes) -> str:
    if not raw.isascii() and not flags & IS_UTF8:
        field = find_extra(extra, _EXTRA_NAME)
        # Version 1, and the checksum of the name that it stands for.
        if field is not None and field[:1] == b"\1" and field[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            return paths.decode_name(field[5:])
        return paths.decode_name(raw, encoding_is_stated=False)
    return paths.decode_name(raw)


def wide_fields(extra: bytes, size: int, packed: int, offset: int = 0, disk: int = 0) -> tuple[int, ...] | None:
    """Size, packed size, offset and disk, from the zip64 extra field where they are full; None if that is too short."""
    values = [size, packed, offset, disk]
    limits = (_FULL32, _FULL32, _FULL32, 0xFFFF)
    full = [index for index in range(4) if values[index] == limits[index]]
    if full:
        field, at = find_extra(extra, _EXTRA64) or b"", 0
        for index in full:
            length = 4 if index == 3 else 8
            if at + length > len(field):
                return None
            values[index] = int.from_bytes(field[at : at + length], "little")
            at += length
    return tuple(values)


def find_extra(extra: bytes, kind: int) -> bytes | None:
    """The first extra field of a kind; what is malformed behind the others is left alone, as by all readers."""
    at = 0
    while at + 4 <= len(extra):
        found, length = struct.unpack_from("<2H", extra, at)
        if found == kind:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return None


def _damaged() -> ArchiveError:
    return ArchiveError("The zip is damaged: its directory is not a list of members.", hint=AGAIN)
