"""The paths of an archive while it is read: each of them once, within the limits.

A sink does something with the contents: writes them, or only remembers digests.
"""

import hashlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Protocol

from cloister.protocol import names
from cloister.protocol.archives import limits
from cloister.protocol.archives.errors import REPACK, ArchiveError
from cloister.protocol.archives.links import FOLDER, Link, require_target, resolve
from cloister.protocol.archives.paths import clean, shown

Pieces = Iterator[bytes | memoryview]
"""The bytes of a file, one after the other."""


class Sink(Protocol):
    """Takes the contents of an archive. Paths are those of :func:`~cloister.protocol.archives.paths.clean`."""

    def folder(self, path: str) -> None:
        """A new folder; the one around it was made before."""

    def file(self, path: str, pieces: Pieces, executable: bool) -> None:
        """A new file, whose folder was made before."""

    def copy(self, source: str, path: str) -> None:
        """A new file with the content of the file ``source``."""

    def digest(self, path: str) -> bytes:
        """SHA-256 of a file that was given before."""

    def repeat(self, paths: Container[str]) -> None:
        """Said before the first file: digests are asked for these paths only."""


class Checking:
    """A sink that keeps nothing but digests: of all files, or of those in ``wanted``."""

    def __init__(self) -> None:
        self._wanted: Container[str] | None = None
        self._digests: dict[str, bytes] = {}

    def folder(self, path: str) -> None:
        """Nothing to do."""

    def file(self, path: str, pieces: Pieces, executable: bool) -> None:
        """Read the file."""
        if self._wanted is None or path in self._wanted:
            self._digests[path] = digest_of(pieces)
        else:
            for _ in pieces:
                pass

    def copy(self, source: str, path: str) -> None:
        """Nothing to do."""

    def digest(self, path: str) -> bytes:
        """SHA-256 of a file that was read."""
        return self._digests[path]

    def repeat(self, paths: Container[str]) -> None:
        """Keep digests of these paths only."""
        self._wanted = paths


class Writing:
    """A sink that writes files and folders, nothing else, into the folder ``into``, and replaces nothing."""

    def __init__(self, into: Path) -> None:
        self.into = str(into)
        self._digests: dict[str, bytes] = {}

    def folder(self, path: str) -> None:
        """Make the folder. Raises OSError."""
        Path(self.into, path).mkdir()

    def file(self, path: str, pieces: Pieces, executable: bool) -> None:
        """Write the file. Raises OSError."""
        with open(f"{self.into}/{path}", "xb", buffering=0) as out:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[out.write(rest) :]
            if executable:
                Path(out.name).chmod(0o755)

    def copy(self, source: str, path: str) -> None:
        """Write a copy of a file. Raises OSError."""
        place = Path(self.into, source)
        with place.open("rb", buffering=0) as stream:
            self.file(path, iter(lambda: stream.read(limits.CHUNK), b""), bool(place.stat().st_mode & 0o100))

    def digest(self, path: str) -> bytes:
        """SHA-256 of a file that was written."""
        if path not in self._digests:
            with open(f"{self.into}/{path}", "rb") as stream:
                self._digests[path] = hashlib.file_digest(stream, "sha256").digest()
        return self._digests[path]

    def repeat(self, paths: Container[str]) -> None:
        """Nothing to do: the files are there."""


def digest_of(pieces: Pieces) -> bytes:
    """SHA-256 of a file's bytes."""
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece)
    return state.digest()


class ArchiveTree:
    """The paths of an archive, and the sum of its files, at most ``declared`` (None: what a manifest can say)."""

    def __init__(self, sink: Sink, declared: int | None = None) -> None:
        self.size = 0
        self._pages = 0
        self._repeated = 0
        self._sink = sink
        self._declared = declared
        self._entries: dict[str, int] = {}
        self._links: dict[str, Link] = {}
        self._composed: dict[str, str] = {}
        self._left = limits.MAX_PATHS

    @property
    def count(self) -> int:
        """Files and folders so far."""
        return len(self._entries) + len(self._links)

    @property
    def in_memory(self) -> int:
        """Bytes of the guest's memory that they take."""
        return self._pages + limits.INODE * self.count

    def folder(self, path: str) -> None:
        """A member that is a folder; the empty path is the archive's own."""
        if not path:
            return
        known = self._entries.get(path)
        if path in self._links or (known is not None and known != FOLDER):
            raise _clash(path)
        if known is None:
            self._parents(path)
            self._enter(path, FOLDER)
            self._sink.folder(path)

    def file(self, path: str, size: int, pieces: Pieces, *, executable: bool = False) -> None:
        """A member that is a file. ``pieces`` must have ``size`` bytes together."""
        if path in self._links or self._entries.get(path) == FOLDER:
            raise _clash(path)
        if path in self._entries:
            self._repeated += size
            if self._repeated > limits.MAX_REPEATS * self.size:
                raise ArchiveError(f"Member {shown(path)} and others occur too often.", hint=REPACK)
            if self._entries[path] != size or self._sink.digest(path) != digest_of(pieces):
                raise ArchiveError(f"Member {shown(path)} occurs twice, with different content.", hint=REPACK)
            return
        self._parents(path)
        self._enter(path, size)
        self._grow(size)
        self._sink.file(path, pieces, executable)

    def link(self, path: str, link: Link) -> None:
        """A member that is a link. Where it leads is seen at the end."""
        if self._links.get(path) == link:
            return
        if link.hard and path in self._entries and clean(link.target) == path:
            return  # GNU tar writes a file that was named twice as a link to itself
        if path in self._links or path in self._entries:
            raise _clash(path)
        require_target(path, link)
        self._parents(path)
        self._enter(path, None, link.target)
        self._links[path] = link

    def repeat(self, paths: Container[str]) -> None:
        """Said before the first member: only these paths come more than once."""
        self._sink.repeat(paths)

    def finish(self) -> dict[str, str]:
        """Replace all links by the files that they lead to; returns those."""
        # A few characters outside of ASCII have a form in ASCII, such as the Kelvin sign.
        for same, path in self._composed.items():
            if same.isascii() and (same in self._entries or same in self._links):
                raise _twins(same, path)
        found = resolve(self._links, self._entries)
        for path, target in found.items():
            self._grow(self._entries[target])
            self._sink.copy(target, path)
        return found

    def _parents(self, path: str) -> None:
        missing = []
        at = path.rpartition("/")[0]
        while at and at not in self._entries:
            if at in self._links:
                raise _clash(at)
            missing.append(at)
            at = at.rpartition("/")[0]
        if at and self._entries[at] != FOLDER:
            raise _clash(at)
        for folder in reversed(missing):
            self._enter(folder, FOLDER)
            self._sink.folder(folder)

    def _enter(self, path: str, size: int | None, target: str = "") -> None:
        """Count a new path; ``size`` None: a link to ``target``."""
        self._left -= len(path.encode()) + len(target.encode(errors="surrogatepass"))
        if self.count >= limits.MAX_ENTRIES or self._left < 0:
            raise ArchiveError(
                f"There are more than {limits.MAX_ENTRIES} files and folders, or {limits.MAX_PATHS} bytes of paths.",
                hint="Split the data into several datasets, or pack the files into fewer, larger ones.",
            )
        if not path.isascii():
            same = self._composed.setdefault(names.same_as(path), path)
            if same != path:
                raise _twins(same, path)
        if size is not None:
            self._entries[path] = size

    def _grow(self, size: int) -> None:
        self.size += size
        self._pages += limits.in_memory(size)
        if self._declared is not None and self.size > self._declared:
            raise ArchiveError(
                f"The files have more bytes together than the unpacked size of {self._declared} in the manifest.",
                hint="Ask the owner to put the unpacked_size that `checksum` prints into the manifest.",
            )
        if self.size > limits.MAX_SIZE:
            raise ArchiveError(f"The files have more than {limits.MAX_SIZE} bytes together.", hint=REPACK)


def _twins(one: str, other: str) -> ArchiveError:
    return ArchiveError(
        f"{shown(one)} and {shown(other)} are the same name on some systems.", hint="Rename one of them, then repack."
    )


def _clash(path: str) -> ArchiveError:
    return ArchiveError(f"Member {shown(path)} occurs twice, as a file, a folder or a link.", hint=REPACK)
