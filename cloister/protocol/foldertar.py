"""The deterministic tar of a folder, as a file that can be read from any position. It is never written anywhere."""

import errno
import hashlib
import os
import stat
import struct
import tarfile
from array import array
from bisect import bisect_right
from io import RawIOBase
from pathlib import Path

from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.archives.folder import FolderEntry, scan

_BLOCK = tarfile.BLOCKSIZE
_END = 2 * _BLOCK


class FolderTar(RawIOBase):
    """Names sorted, mode 0644 or 0755, no times, no owners, no links: a link to a file in the folder is that file.

    ``size`` is that of the tar, ``unpacked`` the bytes of all files together, ``in_memory`` what they take in the
    guest. ``identity`` is a digest over what shows a change of a file (path, mode, device, inode, size, times),
    ``newest`` the latest of these times in nanoseconds, ``devices`` are those that the files are on.

    A file that changes its size later ends the reading with InputError, and so does one in whose place, or in that of
    a folder around it, is something else then: a link would lead out of the folder, and a pipe would not end.
    """

    def __init__(self, folder: Path) -> None:
        """Look at every file. Raises ArchiveError and OSError."""
        super().__init__()
        self._open: tuple[int, int] | None = None
        self._top = -1
        self._top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._look(folder)
        except BaseException:
            self.close()
            raise

    def _look(self, folder: Path) -> None:
        self._entries, tree = scan(folder)
        self.unpacked, self.in_memory = tree.size, tree.in_memory
        self._starts, self._sizes, self._executable = array("Q"), array("Q"), bytearray()
        self._places = array("Q")
        self._at = 0
        self._head = (-1, b"")
        self.newest = 0
        self.devices: set[int] = set()
        seen = hashlib.sha256()
        end = 0
        for index, entry in enumerate(self._entries):
            status = None if entry.source is None else os.stat(folder / entry.source, follow_symlinks=False)
            if status is not None and not stat.S_ISREG(status.st_mode):
                raise _changed(entry.path)
            self._note(entry, status, seen)
            self._starts.append(end)
            self._sizes.append(0 if status is None else status.st_size)
            self._executable.append(status is not None and bool(status.st_mode & stat.S_IXUSR))
            self._places.extend((0, 0) if status is None else (status.st_dev, status.st_ino))
            end += len(self._header(index)) + -(-self._sizes[index] // _BLOCK) * _BLOCK
        self.identity = seen.digest()
        self._end = end
        self.size = -(-(end + _END) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE

    def _note(self, entry: FolderEntry, status: os.stat_result | None, seen: "hashlib._Hash") -> None:
        for text in (entry.path, entry.source or ""):
            encoded = os.fsencode(text)
            seen.update(struct.pack(">Q", len(encoded)) + encoded)
        if status is not None:
            executable = bool(status.st_mode & stat.S_IXUSR)
            place = (status.st_dev, status.st_ino, status.st_size)
            seen.update(struct.pack(">?QQQqq", executable, *place, status.st_mtime_ns, status.st_ctime_ns))
            self.newest = max(self.newest, status.st_mtime_ns, status.st_ctime_ns)
            self.devices.add(status.st_dev)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, target: bytearray | memoryview) -> int:  # ty: ignore[incompatible-method-override]
        """Fill ``target`` with the next bytes, fewer only at the end. Raises InputError and OSError."""
        view = memoryview(target).cast("B")
        done = 0
        while done < len(view) and self._at < self.size:
            size = self._some(view[done:])
            done += size
            self._at += size
        return done

    def close(self) -> None:
        """Close the folder, and the file that is being read."""
        self._let_go()
        top, self._top = self._top, -1
        if top >= 0:
            os.close(top)
        super().close()

    def _let_go(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _some(self, target: memoryview) -> int:
        """At least one byte of what lies at the position: a header, a file, or zeros."""
        if self._at >= self._end:
            return _zeros(target, self.size - self._at)
        index = bisect_right(self._starts, self._at) - 1
        if self._head[0] != index:
            self._head = (index, self._header(index))
        header = self._head[1]
        inside = self._at - self._starts[index]
        if inside < len(header):
            piece = header[inside : inside + len(target)]
            target[: len(piece)] = piece
            return len(piece)
        inside -= len(header)
        source = self._entries[index].source
        if source is None or inside >= self._sizes[index]:
            end = self._starts[index + 1] if index + 1 < len(self._starts) else self._end
            return _zeros(target, end - self._at)
        return self._file(index, source, inside, target)

    def _header(self, index: int) -> bytes:
        entry = self._entries[index]
        info = tarfile.TarInfo(entry.path)
        if entry.source is None:
            info.type, info.mode = tarfile.DIRTYPE, 0o755
        else:
            info.mode = 0o755 if self._executable[index] else 0o644
            info.size = self._sizes[index]
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def _file(self, index: int, source: str, offset: int, target: memoryview) -> int:
        if self._open is None or self._open[0] != index:
            self._let_go()
            self._open = (index, _open_inside(self._top, source))
            now = os.fstat(self._open[1])
            if (now.st_size, now.st_dev, now.st_ino) != (self._sizes[index], *self._places[2 * index : 2 * index + 2]):
                raise _changed(source)
        size = os.preadv(self._open[1], [target[: self._sizes[index] - offset]], offset)
        if not size:
            raise _changed(source)
        return size


def _open_inside(top: int, path: str) -> int:
    """Open a file below the folder ``top`` for reading, without following a link or waiting for a pipe.

    Raises InputError for a link, and every other OSError.
    """
    *folders, name = path.split("/")
    at = top
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            if at != top:
                os.close(at)
            at = inner
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _changed(path) from error
        raise
    finally:
        if at != top:
            os.close(at)


def _zeros(target: memoryview, most: int) -> int:
    size = min(len(target), most)
    target[:size] = bytes(size)
    return size


def _changed(source: str) -> InputError:
    return InputError(
        f"{names.shown(source)} was changed while the folder was read.", hint="Do not change the folder meanwhile."
    )
