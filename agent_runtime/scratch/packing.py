"""Packs files and folders onto a volume, one after the other, and seals it: what unpackers write to."""

import hashlib
from collections.abc import Callable, Container, Iterable
from typing import TypeVar

from agent_runtime.scratch.erofs import DataExtent, DirectoryEntry, FileEntry, encoded
from agent_runtime.scratch.packedroot import PackedRoot
from agent_runtime.scratch.volume import Region, Seal, Volume
from cloister.protocol.volume import groups_of

Write = Callable[[bytes | memoryview], object]
_Value = TypeVar("_Value")


class Packer:
    """A volume that is filled file by file. Nothing is read back."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._region: Region = volume.region(1)
        self.root = DirectoryEntry()

    def tree(self, *path: str) -> "PackedTree":
        """A new folder at ``path``, for one archive or bundle."""
        return PackedTree(self._region, self._folder(path))

    def image(self, kept: Container[int], *path: str, first: int) -> PackedRoot:
        """A new folder at ``path`` for a container image; the arguments are those of :class:`PackedRoot`."""
        return PackedRoot(self._region, self._folder(path), kept, first=first)

    def _folder(self, path: Iterable[str]) -> DirectoryEntry:
        folder = self.root
        for name in path:
            found = folder.entries.setdefault(name.encode(), DirectoryEntry())
            if not isinstance(found, DirectoryEntry):
                raise ValueError(f"{name} is a file.")
            folder = found
        return folder

    def seal(self, *, owner: int, seconds: int, shared: bool = False) -> Seal:
        """Finish the volume; the arguments are those of :func:`erofs.encode`. Raises OSError."""
        end = 1 + groups_of(self._region.size)
        self._region.finish()
        return self._volume.seal(self.root, end, owner=owner, seconds=seconds, shared=shared)


class PackedTree:
    """One folder of a packed volume: a sink of archives, and a target of wheels."""

    def __init__(self, region: Region, top: DirectoryEntry) -> None:
        self._region = region
        self._folders: dict[str, DirectoryEntry] = {"": top}
        self._digests: dict[str, bytes] = {}
        self._wanted: Container[str] | None = None

    def folder(self, path: str) -> None:
        """A new folder."""
        self._folder(path)

    def file(self, path: str, pieces: Iterable[bytes | memoryview], executable: bool) -> None:
        """A new file. Raises OSError."""
        state = hashlib.sha256() if self._wanted is None or path in self._wanted else None

        def fill(write: Write) -> None:
            for piece in pieces:
                write(piece)
                if state is not None:
                    state.update(piece)

        self.filled(path, executable, fill)
        if state is not None:
            self._digests[path] = state.digest()

    def filled(self, path: str, executable: bool, fill: Callable[[Write], _Value]) -> _Value:
        """A new file that ``fill`` writes; returns what that returns. Raises OSError."""
        self._region.align()
        block, before = self._region.block, self._region.size
        found = fill(self._region.write_all)
        self._put(path, FileEntry(DataExtent(block, self._region.size - before), executable))
        return found

    def copy(self, source: str, path: str) -> None:
        """A new file with the data of another."""
        self._put(path, self._file(source))

    def digest(self, path: str) -> bytes:
        """SHA-256 of a file that was given before."""
        return self._digests[path]

    def repeat(self, paths: Container[str]) -> None:
        """Keep digests of these paths only."""
        self._wanted = paths

    def make_executable(self, path: str) -> None:
        """Make a file executable."""
        self._put(path, FileEntry(self._file(path).extent, executable=True))

    def _put(self, path: str, entry: FileEntry) -> None:
        folder, _, name = path.rpartition("/")
        self._folder(folder).entries[encoded(name)] = entry

    def _file(self, path: str) -> FileEntry:
        folder, _, name = path.rpartition("/")
        found = self._folder(folder).entries[encoded(name)]
        if not isinstance(found, FileEntry):
            raise ValueError("It is a folder.")
        return found

    def _folder(self, path: str) -> DirectoryEntry:
        if (found := self._folders.get(path)) is None:
            above, _, name = path.rpartition("/")
            found = DirectoryEntry()
            self._folder(above).entries[encoded(name)] = found
            self._folders[path] = found
        return found


class PackedWheels:
    """A folder of a packed volume as the target of a bundle's wheels."""

    def __init__(self, tree: PackedTree) -> None:
        self._tree = tree

    def file(self, path: str, executable: bool, fill: Callable[[Write], bytes]) -> bytes:
        """A new file. Raises OSError."""
        return self._tree.filled(path, executable, fill)

    def make_executable(self, path: str) -> None:
        """Make a file executable."""
        self._tree.make_executable(path)
