"""The root file system of a container image on a volume: written once, and nothing that a later layer removes.

The layers are read twice. First a counter learns which of their files are left in the end, then those are written, in
the order of the layers.
"""

from collections.abc import Container

from agent_runtime.scratch.erofs import (
    Attributes,
    DataExtent,
    DirectoryEntry,
    Entry,
    FileEntry,
    LinkEntry,
    PipeEntry,
    encoded,
)
from agent_runtime.scratch.volume import Region
from cloister.protocol.archives.tree import Pieces
from cloister.protocol.containers.rootfs import Metadata
from cloister.protocol.containers.sinks import CountingSink

_NOTHING = DataExtent(0, 0)
_LINK_MODE = 0o777


class SurvivorSink(CountingSink):
    """Counts, and knows by their numbers which of the files and links are there in the end."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._numbers: dict[str, int] = {}

    def file(self, path: str, pieces: Pieces, metadata: Metadata) -> None:
        """Read the file."""
        super().file(path, pieces, metadata)
        self._number(path)

    def link(self, path: str, target: str, metadata: Metadata) -> None:
        """Count the link."""
        self._number(path)

    def same(self, path: str, other: str) -> None:
        """Another name of the file ``other``, which may also be a link or a pipe."""
        super().same(path, other)
        if other in self._numbers:
            self._numbers[path] = self._numbers[other]

    def remove(self, path: str) -> None:
        """Forget the name."""
        super().remove(path)
        self._numbers.pop(path, None)

    def survivors(self) -> frozenset[int]:
        """The numbers of the files and links that are left."""
        return frozenset(self._numbers.values())

    def _number(self, path: str) -> None:
        self._numbers[path] = self._count
        self._count += 1


class PackedRoot:
    """A folder of a volume as the root of an image. Of its files and links, those numbered in ``kept`` are written.

    ``first`` is the id outside of the sandbox of user and group 0.
    """

    def __init__(self, region: Region, top: DirectoryEntry, kept: Container[int], *, first: int) -> None:
        self._region = region
        self._folders = {"": top}
        self._kept = kept
        self._first = first
        self._count = 0

    def folder(self, path: str) -> None:
        """A new folder."""
        made = DirectoryEntry()
        self._put(path, made)
        self._folders[path] = made

    def file(self, path: str, pieces: Pieces, metadata: Metadata) -> None:
        """A new file. Raises OSError."""
        self._put(path, FileEntry(self._write(pieces), executable=False, attributes=self._attributes(metadata)))

    def link(self, path: str, target: str, metadata: Metadata) -> None:
        """A new symbolic link. Raises OSError."""
        self._put(path, LinkEntry(self._write(iter([encoded(target)])), self._attributes(metadata, _LINK_MODE)))

    def same(self, path: str, other: str) -> None:
        """Another name of a file, pipe or link."""
        folder, _, name = other.rpartition("/")
        self._put(path, self._folders[folder].entries[encoded(name)])

    def pipe(self, path: str, metadata: Metadata) -> None:
        """A new named pipe."""
        self._put(path, PipeEntry(self._attributes(metadata)))

    def remove(self, path: str) -> None:
        """A name goes."""
        folder, _, name = path.rpartition("/")
        del self._folders[folder].entries[encoded(name)]
        self._folders.pop(path, None)

    def finish(self, path: str, metadata: Metadata) -> None:
        """The final metadata of a folder."""
        self._folders[path].attributes = self._attributes(metadata)

    def _write(self, pieces: Pieces) -> DataExtent:
        self._count += 1
        if self._count - 1 not in self._kept:
            for _ in pieces:
                pass
            return _NOTHING
        self._region.align()
        block, before = self._region.block, self._region.size
        for piece in pieces:
            self._region.write_all(piece)
        return DataExtent(block, self._region.size - before)

    def _put(self, path: str, entry: Entry) -> None:
        folder, _, name = path.rpartition("/")
        self._folders[folder].entries[encoded(name)] = entry

    def _attributes(self, metadata: Metadata, mode: int | None = None) -> Attributes:
        own = metadata.mode if mode is None else mode
        return Attributes(own, self._first + metadata.user, self._first + metadata.group, metadata.modified)
