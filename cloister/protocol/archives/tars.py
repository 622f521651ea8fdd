"""The members of a tar: v7, ustar, GNU and pax; and what they are in an archive of data.

Sources: POSIX.1-1988 10.1.1 (ustar), POSIX.1-2001 pax Interchange Format, GNU tar manual "Basic Tar Format". Read here
instead of with :mod:`tarfile`, which differs between the Python of the guest and of the parties, holds extended headers
of any size in memory, and takes a tar without its end.

Long because headers and the members that they describe are read together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cloister.protocol.archives.detection import BLOCK, is_header, octal
from cloister.protocol.archives.errors import AGAIN, REPACK, ArchiveError
from cloister.protocol.archives.limits import CHUNK, MAX_DIRECTORY, MAX_HEADER, MAX_HEADERS, MAX_SIZE
from cloister.protocol.archives.links import Link
from cloister.protocol.archives.paths import clean, decode_name, shown
from cloister.protocol.archives.reader import ByteReader
from cloister.protocol.archives.tree import ArchiveTree, Pieces

REGULAR = b"0\0" + b"7"
HARD_LINK, SYMBOLIC_LINK, FOLDER, GNU_FOLDER = b"1", b"2", b"5", b"D"
CHARACTER_DEVICE, BLOCK_DEVICE, PIPE = b"3", b"4", b"6"
_LABEL = b"V"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_EXTENDED = (b"x", b"X")
_GLOBAL = b"g"
_KINDS = {CHARACTER_DEVICE: "a device", BLOCK_DEVICE: "a device", PIPE: "a pipe"}
_SINGLE = {
    b"S": ("is sparse", "Repack without `--sparse` (`-S`)."),
    b"M": ("continues from another volume", "Repack into one volume, without `--multi-volume` (`-M`)."),
}
_ZEROS = bytes(BLOCK)
_SECONDS = re.compile(rb"(-?)(\d{1,12})(?:\.(\d{0,30}))?")
_LATEST = 10**12 - 1
"""The same bound for seconds that are not text: a system takes fewer than the header has room for."""

_SAID = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime")
"""Records of pax that are read."""


@dataclass(slots=True)
class _Extended:
    """What extended headers say about the member that follows."""

    name: bytes | None = None
    link: bytes | None = None
    pax: dict[bytes, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.name is not None or self.link is not None or self.renames

    @property
    def renames(self) -> bool:
        """A record of pax changes a name or the size."""
        return any(key in self.pax for key in (b"path", b"linkpath", b"size", b"sparse"))


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member other than an extended header. ``content`` has ``size`` bytes, and must be read before the next member.

    ``kind`` is the type's character: :data:`REGULAR` and others. ``name`` and ``link`` are as the archive has them.
    """

    name: bytes
    kind: bytes
    link: bytes
    size: int
    mode: int
    content: Pieces
    _block: bytes
    _pax: dict[bytes, bytes]

    @property
    def is_folder(self) -> bool:
        """A folder. Before ustar, it was a file whose name ends with a slash."""
        return self.kind in (FOLDER, GNU_FOLDER) or (self.is_file and self.name.endswith(b"/"))

    @property
    def is_file(self) -> bool:
        """A file, or a folder of before ustar."""
        return self.kind in REGULAR

    def owner(self) -> tuple[int, int]:
        """User and group. Raises ArchiveError for an invalid number."""
        return self._whole(b"uid", 108), self._whole(b"gid", 116)

    def modified(self) -> int:
        """Nanoseconds since 1970. Raises ArchiveError for an invalid number."""
        stated = self._pax.get(b"mtime")
        if stated is None:
            seconds = self._whole(b"mtime", 136, 12)
            if seconds > _LATEST:
                raise self._damaged()
            return 1_000_000_000 * seconds
        if (found := _SECONDS.fullmatch(stated)) is None:
            raise self._damaged()
        nanoseconds = int(found[2]) * 1_000_000_000 + int((found[3] or b"").ljust(9, b"0")[:9])
        return -nanoseconds if found[1] else nanoseconds

    def _whole(self, key: bytes, place: int, length: int = 8) -> int:
        stated = self._pax.get(key)
        if stated is not None:
            if not stated.isdigit() or len(stated) > 20:
                raise self._damaged()
            return int(stated)
        try:
            return _number(self._block[place : place + length])
        except ValueError as error:
            raise self._damaged() from error

    def _damaged(self) -> ArchiveError:
        return ArchiveError(f"Member {shown(self.name)} is damaged: its header has an invalid number.", hint=AGAIN)


def read_members(reader: ByteReader, *, skip: bool = False) -> Iterator[TarMember]:
    """The members of a tar, to its end. With ``skip``, their content cannot be read and is passed over.

    Raises ArchiveError, also for a tar without its end.
    """
    extended = _Extended()
    said = count = 0
    while True:
        block = reader.exactly(BLOCK)
        if len(block) < BLOCK:
            raise ArchiveError("The tar is truncated: it has no end.", hint=AGAIN)
        if block == _ZEROS:
            break
        if not is_header(block):
            raise ArchiveError("The tar is damaged: the checksum of a header is wrong.", hint=AGAIN)
        count += 1
        if count > MAX_HEADERS:
            raise ArchiveError(f"The tar has more than {MAX_HEADERS} headers.", hint=REPACK)
        header = _Header.parse(block)
        if header.kind in (_LONG_NAME, _LONG_LINK, *_EXTENDED, _GLOBAL):
            said += header.size
            if header.size > MAX_HEADER or said > MAX_DIRECTORY:
                raise ArchiveError(f"An extended header of the tar has {header.size} bytes, too many.", hint=REPACK)
            _extend(extended, header.kind, b"".join(_content(reader, header.size, "An extended header")))
            continue
        member = _member(reader, header, block, extended)
        if member.kind == GNU_FOLDER:  # with the names of what was in the folder
            said += member.size
            if said > MAX_DIRECTORY:
                said_by = f"Member {shown(member.name)} is a folder with {member.size} bytes of names, too many."
                raise ArchiveError(said_by, hint=REPACK)
            for _ in member.content:
                pass
        yield member
        if skip and member.kind != GNU_FOLDER:
            stored = member.size + -member.size % BLOCK
            if reader.drop(stored) < stored:
                raise _cut(f"Member {shown(member.name)}")
        for _ in () if skip else member.content:
            pass
        extended = _Extended()
    if extended:
        raise ArchiveError("The tar is truncated: an extended header is not followed by its member.", hint=AGAIN)
    if reader.exactly(BLOCK) != _ZEROS:
        raise ArchiveError("The tar is truncated or damaged: its end must be two blocks of zeros.", hint=AGAIN)
    reader.pad("The tar's end")


def read_tar(reader: ByteReader, tree: ArchiveTree) -> None:
    """Give all members of a tar to ``tree``. Raises ArchiveError, also for a tar without its end."""
    for member in read_members(reader):
        _give(member, tree)


def _give(member: TarMember, tree: ArchiveTree) -> None:
    name = decode_name(member.name)
    if member.kind == _LABEL and not member.size:
        return
    if member.is_folder:
        if member.size and member.kind != GNU_FOLDER:
            raise ArchiveError(f"Member {shown(name)} is a folder, but has content.", hint=REPACK)
        tree.folder(clean(name, folder=True))
    elif member.is_file:
        tree.file(clean(name), member.size, member.content, executable=bool(member.mode & 0o100))
    elif member.kind in (HARD_LINK, SYMBOLIC_LINK):
        if member.size:
            raise ArchiveError(f"Member {shown(name)} is a link, but has content.", hint=REPACK)
        tree.link(clean(name), Link(decode_name(member.link), member.kind == HARD_LINK))
    else:
        kind = _KINDS.get(member.kind, f"of the kind {member.kind!r}")
        raise ArchiveError(f"Member {shown(name)} is {kind}; only files, folders and links are unpacked.", hint=REPACK)


def _member(reader: ByteReader, header: "_Header", block: bytes, extended: _Extended) -> TarMember:
    name = _agreed(header.name, extended.name, extended.pax.get(b"path"))
    size = header.size
    if stated := extended.pax.get(b"size"):
        if not stated.isdigit() or len(stated) > 20:
            raise ArchiveError(f"Member {shown(name)} has an invalid size.", hint=AGAIN)
        size = int(stated)
    if size > MAX_SIZE:
        raise ArchiveError(f"Member {shown(name)} has {size} bytes, more than any file.", hint=AGAIN)
    if b"sparse" in extended.pax or header.kind in _SINGLE:
        why, remedy = _SINGLE[b"S" if b"sparse" in extended.pax else header.kind]
        raise ArchiveError(f"Member {shown(name)} {why}.", hint=remedy)
    link = _agreed(header.link, extended.link, extended.pax.get(b"linkpath"))
    content = _content(reader, size, f"Member {shown(name)}")
    return TarMember(name, header.kind, link, size, header.mode, content, block, extended.pax)


@dataclass(frozen=True, slots=True)
class _Header:
    """A header block."""

    name: bytes
    mode: int
    size: int
    kind: bytes
    link: bytes

    @classmethod
    def parse(cls, block: bytes) -> "_Header":
        name = _text(block[:100])
        if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
            name = prefix + b"/" + name
        kind = block[156:157]
        try:
            mode, size = _number(block[100:108]), _number(block[124:136])
        except ValueError as error:
            raise ArchiveError(
                f"Member {shown(name)} is damaged: its header has an invalid number.", hint=AGAIN
            ) from error
        return cls(name, mode, size, kind, _text(block[157:257]))


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    if not field.strip(b" \0"):
        return 0
    if (found := octal(field)) is None:
        raise ValueError("not octal")
    return found


def _extend(extended: _Extended, kind: bytes, data: bytes) -> None:
    if kind == _LONG_NAME:
        _once(extended.name, None)
        extended.name = data.removesuffix(b"\0")
    elif kind == _LONG_LINK:
        _once(extended.link, None)
        extended.link = data.removesuffix(b"\0")
    elif kind == _GLOBAL:
        if _records(data).keys() & {b"path", b"linkpath", b"size"}:
            raise ArchiveError("The tar gives one name or size to all of its members.", hint=REPACK)
    else:
        _once(extended.renames, False)
        extended.pax = _records(data)


def _once(found: object, expected: object) -> None:
    if found != expected:
        raise ArchiveError("The tar has two extended headers of one kind for the same member.", hint=REPACK)


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header that matter: ``length key=value`` and a line feed, the length including itself."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        digits = data[at:space] if space > at else b""
        length = int(digits) if digits.isdigit() else 0
        record = data[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if not 0 < length <= len(data) - at or not equals or not record.endswith(b"\n"):
            raise ArchiveError("The tar is damaged: an extended header is malformed.", hint=AGAIN)
        at += length
        if key.startswith(b"GNU.sparse."):
            found[b"sparse"] = b""
        elif key in _SAID:
            _once(found.setdefault(key, value[:-1]), value[:-1])
    return found


def _agreed(short: bytes, gnu: bytes | None, pax: bytes | None) -> bytes:
    if gnu is not None and pax:
        _once(gnu, pax)
    return pax or (short if gnu is None else gnu)


def _content(reader: ByteReader, size: int, what: str) -> Pieces:
    """The content of a member and what fills its last block."""
    left = size
    try:
        while left:
            piece = reader.some(min(left, CHUNK))
            if not piece:
                raise _cut(what)
            left -= len(piece)
            yield piece
        if len(reader.exactly(-size % BLOCK)) < -size % BLOCK:
            raise _cut(what)
    except ArchiveError as error:
        if error.message.startswith(what):
            raise
        raise ArchiveError(f"{what}: {error.message}", hint=error.hint) from error


def _cut(what: str) -> ArchiveError:
    return ArchiveError(f"{what} is truncated: the tar ends within it.", hint=AGAIN)
