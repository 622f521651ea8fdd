"""Read or unpack an archive: the two entry points of this folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cloister.protocol.archives.detection import BLOCK, Kind, detect, is_tar
from cloister.protocol.archives.errors import ArchiveError, NotAnArchive
from cloister.protocol.archives.reader import ByteReader, Decompressed, Source
from cloister.protocol.archives.tars import read_tar
from cloister.protocol.archives.tree import ArchiveTree, Writing
from cloister.protocol.archives.zips import read_zip

_WHAT = {Kind.GZIP: "The gzip file", Kind.BZIP2: "The bzip2 file", Kind.XZ: "The xz file"}


@dataclass(frozen=True)
class Contents:
    """What an archive unpacks to: bytes of all files, the number of files and folders, and what they take in memory."""

    size: int
    entries: int
    in_memory: int


def unpack(path: Path, into: Path, declared: int) -> Contents:
    """Unpack the archive at ``path`` into the new or empty folder ``into``: at most ``declared`` bytes of files.

    Raises ArchiveError as :func:`read_into` does, and OSError. What was unpacked until then remains.
    """
    into.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as stream:
        return read_into(stream, ArchiveTree(Writing(into), declared))


def read_into(stream: BinaryIO, tree: ArchiveTree, take: Callable[[bytes], object] = lambda data: None) -> Contents:
    """Read an archive to its end, with all checksums, and give its members to ``tree``.

    Args:
        stream: the archive, seekable.
        tree: its sink decides what becomes of the members; ``Checking`` keeps none.
        take: gets every byte of the file once and in order, for a digest; unless an error is raised.

    Raises:
        NotAnArchive: the first bytes are not those of an archive, or those of something compressed other than a tar.
        ArchiveError: the launcher would refuse the archive.
    """
    source = Source(stream, take)
    kind = detect(source.peek(BLOCK))
    if kind is Kind.ZIP:
        read_zip(source, tree)
    elif kind is Kind.TAR:
        _read_tar(source, tree)
    else:
        reader = Decompressed(source, kind.value, _WHAT[kind])
        if not is_tar(reader.peek(BLOCK)):
            raise NotAnArchive(
                f"{_WHAT[kind]} cannot be unpacked: it is something compressed other than a tar.",
                hint="Pack a folder with `tar -czf data.tar.gz FOLDER`, or write `unpack: false`.",
            )
        _read_tar(reader, tree)
    tree.finish()
    return Contents(tree.size, tree.count, tree.in_memory)


def _read_tar(reader: ByteReader, tree: ArchiveTree) -> None:
    """Read a tar. Zeros only are an empty one; other files may begin with zeros, too."""
    if any(reader.peek(BLOCK)):
        read_tar(reader, tree)
        return
    try:
        read_tar(reader, tree)
    except ArchiveError as error:
        raise NotAnArchive(error.message, hint=error.hint) from error
