"""What becomes of a root file system: counted on a party's machine, written in the sandbox."""

import os
import stat
from pathlib import Path

from cloister.protocol.archives.tree import Pieces
from cloister.protocol.containers.rootfs import Metadata


class CountingSink:
    """Reads everything and keeps nothing."""

    def folder(self, path: str) -> None:
        """Nothing to do."""

    def file(self, path: str, pieces: Pieces, metadata: Metadata) -> None:
        """Read the file."""
        for _ in pieces:
            pass

    def link(self, path: str, target: str, metadata: Metadata) -> None:
        """Nothing to do."""

    def same(self, path: str, other: str) -> None:
        """Nothing to do."""

    def pipe(self, path: str, metadata: Metadata) -> None:
        """Nothing to do."""

    def remove(self, path: str) -> None:
        """Nothing to do."""

    def finish(self, path: str, metadata: Metadata) -> None:
        """Nothing to do."""


class WritingSink:
    """Writes below the folder ``into``. With ``owns``, files are given to their owners, which needs the right to.

    Folders are open to this process until the end, whatever their mode.
    """

    def __init__(self, into: Path, *, owns: bool) -> None:
        self._into = str(into)
        self._owns = owns

    def folder(self, path: str) -> None:
        """Make the folder. Raises OSError."""
        os.mkdir(f"{self._into}/{path}", 0o700)

    def file(self, path: str, pieces: Pieces, metadata: Metadata) -> None:
        """Write the file. Raises OSError."""
        with open(f"{self._into}/{path}", "xb", buffering=0) as out:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[out.write(rest) :]
        self._describe(f"{self._into}/{path}", metadata)

    def link(self, path: str, target: str, metadata: Metadata) -> None:
        """Make the link. Raises OSError."""
        os.symlink(target, f"{self._into}/{path}")
        self._describe(f"{self._into}/{path}", metadata, is_link=True)

    def same(self, path: str, other: str) -> None:
        """Make a hard link. Raises OSError."""
        os.link(f"{self._into}/{other}", f"{self._into}/{path}", follow_symlinks=False)

    def pipe(self, path: str, metadata: Metadata) -> None:
        """Make the pipe. Raises OSError."""
        os.mkfifo(f"{self._into}/{path}", 0o600)
        self._describe(f"{self._into}/{path}", metadata)

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty folder. Raises OSError."""
        place = f"{self._into}/{path}"
        if stat.S_ISDIR(os.lstat(place).st_mode):
            os.rmdir(place)
        else:
            os.unlink(place)

    def finish(self, path: str, metadata: Metadata) -> None:
        """Give a folder its mode and owner. Raises OSError."""
        self._describe(f"{self._into}/{path}" if path else self._into, metadata)

    def _describe(self, place: str, metadata: Metadata, *, is_link: bool = False) -> None:
        # Byte code of Python counts as current only if its source has the time that it had.
        os.utime(place, ns=(metadata.modified, metadata.modified), follow_symlinks=False)
        if self._owns:
            os.chown(place, metadata.user, metadata.group, follow_symlinks=False)
        if not is_link:
            os.chmod(place, metadata.mode)
