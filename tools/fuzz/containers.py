"""What the targets for images of containers need: an archive that is valid again, and a root file system in memory.

A file system that a machine would write to is stricter than a counter, so the model is, too: whatever a sink is told,
it must be able to do.
"""

import io
from collections.abc import Iterator

from cloister.protocol.archives.reader import ByteReader, Piece
from cloister.protocol.archives.tree import Pieces
from cloister.protocol.containers.rootfs import Metadata, RootFilesystem, RootSink

_BLOCK, _MAGIC = 512, b"ustar"
_FOLDER, _FILE, _LINK, _PIPE = "folder", "file", "link", "pipe"


def with_checksums(data: bytes) -> bytes:
    """``data`` with the correct checksum in every block that looks like a header: a fuzzer does not find them."""
    made = bytearray(data)
    for start in range(0, len(made) - _BLOCK + 1, _BLOCK):
        if made[start + 257 : start + 262] == _MAGIC:
            made[start + 148 : start + 156] = b" " * 8
            made[start + 148 : start + 156] = b"%06o\0 " % sum(made[start : start + _BLOCK])
    return bytes(made)


def layers(data: bytes) -> list[bytes]:
    """Layers: each begins with its number of blocks, as one byte in a block of its own."""
    found = []
    while data:
        size = _BLOCK * data[0]
        found.append(with_checksums(data[_BLOCK : _BLOCK + size]))
        data = data[_BLOCK + size :]
    return found


def apply(tars: list[bytes], sink: RootSink) -> RootFilesystem:
    """Apply layers. Raises ContainerError and ArchiveError."""

    def read() -> Iterator[ByteReader]:
        yield from (Piece(io.BytesIO(data), 0, len(data)) for data in tars)

    root = RootFilesystem.of(read(), sink)
    root.finish()
    return root


class ModelSink:
    """A root file system in memory. Raises RuntimeError for what no file system would do."""

    def __init__(self) -> None:
        self.kinds = {"": _FOLDER}
        self._entries = {"": 0}
        self._finished: set[str] = set()

    def folder(self, path: str) -> None:
        """A new folder."""
        self._new(path, _FOLDER)
        self._entries[path] = 0

    def file(self, path: str, pieces: Pieces, metadata: Metadata) -> None:
        """A new file."""
        self._new(path, _FILE)
        for _ in pieces:
            pass

    def link(self, path: str, target: str, metadata: Metadata) -> None:
        """A new symbolic link."""
        self._new(path, _LINK)

    def same(self, path: str, other: str) -> None:
        """A hard link."""
        if self.kinds.get(other, _FOLDER) == _FOLDER:
            raise RuntimeError(f"A hard link leads to {other!r}.")
        self._new(path, self.kinds[other])

    def pipe(self, path: str, metadata: Metadata) -> None:
        """A new pipe."""
        self._new(path, _PIPE)

    def remove(self, path: str) -> None:
        """A file or an empty folder goes."""
        if path not in self.kinds or self._entries.pop(path, 0):
            raise RuntimeError(f"{path!r} cannot be removed.")
        del self.kinds[path]
        self._entries[path.rpartition("/")[0]] -= 1

    def finish(self, path: str, metadata: Metadata) -> None:
        """The final metadata of a folder, after those in it."""
        if self.kinds.get(path) != _FOLDER or path in self._finished or path.rpartition("/")[0] in self._finished:
            raise RuntimeError(f"The folder {path!r} is not finished once, and before the one around it.")
        self._finished.add(path)

    def _new(self, path: str, kind: str) -> None:
        folder, _, name = path.rpartition("/")
        if self.kinds.get(folder) != _FOLDER or path in self.kinds or name in ("", ".", ".."):
            raise RuntimeError(f"{path!r} cannot be made.")
        self.kinds[path] = kind
        self._entries[folder] += 1
