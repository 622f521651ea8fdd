"""The members of a tar: v7, ustar, GNU and pax.

Sources: POSIX.1-1988 10.1.1 (ustar), POSIX.1-2001 pax Interchange Format, GNU tar manual "Basic Tar Format". Read here
instead of with :mod:`tarfile`, which differs between the Python of the guest and of the parties, holds extended headers
of any size in memory, and takes a tar without its end.
"""

from dataclasses import dataclass, field

from cloister.protocol.archives.detection import BLOCK, is_header, octal
from cloister.protocol.archives.errors import AGAIN, REPACK, ArchiveError
from cloister.protocol.archives.limits import CHUNK, MAX_DIRECTORY, MAX_HEADER, MAX_HEADERS, MAX_SIZE
from cloister.protocol.archives.links import Link
from cloister.protocol.archives.paths import clean, decode_name, shown
from cloister.protocol.archives.reader import ByteReader
from cloister.protocol.archives.tree import ArchiveTree, Pieces

_REGULAR = b"0\0" + b"7"
_HARD, _SYMBOLIC, _FOLDER = b"1", b"2", b"5"
_GNU_FOLDER = b"D"
_LABEL = b"V"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_EXTENDED = (b"x", b"X")
_GLOBAL = b"g"
_KINDS = {b"3": "a device", b"4": "a device", b"6": "a pipe"}
_SINGLE = {
    b"S": ("is sparse", "Repack without `--sparse` (`-S`)."),
    b"M": ("continues from another volume", "Repack into one volume, without `--multi-volume` (`-M`)."),
}
_ZEROS = bytes(BLOCK)


@dataclass(slots=True)
class _Extended:
    """What extended headers say about the member that follows."""

    name: bytes | None = None
    link: bytes | None = None
    pax: dict[bytes, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.name is not None or self.link is not None or bool(self.pax)


def read_tar(reader: ByteReader, tree: ArchiveTree) -> None:
    """Give all members of a tar to ``tree``. Raises ArchiveError, also for a tar without its end."""
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
        else:
            said += _read_member(reader, header, extended, tree, MAX_DIRECTORY - said)
            extended = _Extended()
    if extended:
        raise ArchiveError("The tar is truncated: an extended header is not followed by its member.", hint=AGAIN)
    if reader.exactly(BLOCK) != _ZEROS:
        raise ArchiveError("The tar is truncated or damaged: its end must be two blocks of zeros.", hint=AGAIN)
    reader.pad("The tar's end")


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
        _once(extended.pax or None, None)
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
        elif key in (b"path", b"linkpath", b"size"):
            _once(found.setdefault(key, value[:-1]), value[:-1])
    return found


def _read_member(reader: ByteReader, header: _Header, extended: _Extended, tree: ArchiveTree, most: int) -> int:
    """Give a member to ``tree``. Returns the bytes that are neither a file's nor a header's, at most ``most``."""
    raw = _agreed(header.name, extended.name, extended.pax.get(b"path"))
    name = decode_name(raw)
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
    content = _content(reader, size, f"Member {shown(name)}")
    if header.kind == _LABEL and not size:
        return 0
    # Before ustar, a folder was a file whose name ends with a slash.
    if header.kind in (_FOLDER, _GNU_FOLDER) or (header.kind in _REGULAR and name.endswith("/")):
        if size and header.kind != _GNU_FOLDER:
            raise ArchiveError(f"Member {shown(name)} is a folder, but has content.", hint=REPACK)
        if size > most:
            raise ArchiveError(f"Member {shown(name)} is a folder with {size} bytes of names, too many.", hint=REPACK)
        for _ in content:  # of GNU's: the names of what was in the folder
            pass
        tree.folder(clean(name, folder=True))
        return size
    if header.kind in _REGULAR:
        tree.file(clean(name), size, content, executable=bool(header.mode & 0o100))
    elif header.kind in (_HARD, _SYMBOLIC):
        if size:
            raise ArchiveError(f"Member {shown(name)} is a link, but has content.", hint=REPACK)
        target = decode_name(_agreed(header.link, extended.link, extended.pax.get(b"linkpath")))
        tree.link(clean(name), Link(target, header.kind == _HARD))
    else:
        kind = _KINDS.get(header.kind, f"of the kind {header.kind!r}")
        raise ArchiveError(f"Member {shown(name)} is {kind}; only files, folders and links are unpacked.", hint=REPACK)
    return 0


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
