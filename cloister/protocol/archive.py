"""Archives whose bytes follow from their content alone: the zip of a result and the tar of a folder.

Zip members are stored, not deflated: the bytes of a deflate stream depend on the library's version, and a reader must
be able to encode the archive again and find the same bytes.
"""

import hashlib
import os
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

from cloister.errors import InputError, ProofError

_CHUNK = 1024 * 1024
MAX_MEMBERS = 10_000
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNSEEN = ("Cf", "Zl", "Zp")
"""Unicode's categories of format characters and separators of lines: with them a name looks like another one."""


class ArchiveError(InputError):
    """A folder cannot be archived, or an archive is not what its format demands."""

    remedy = "Rename, remove or pack these files, then run the command again."


def check_name(name: str) -> None:
    """Raise ArchiveError unless ``name`` is a relative path that stays inside its folder, without odd characters."""
    parts = name.split("/")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:  # the file system has bytes there that are no text
        raise ArchiveError(f"{name[:80]!r} is not UTF-8.") from error
    if size > 1024 or any(part in ("", ".", "..") for part in parts):
        raise ArchiveError(f"{name[:80]!r} is not a path inside a folder.")
    if "\\" in name or ":" in parts[0] or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        raise ArchiveError(f"{name[:80]!r} has a character that a path in an archive may not have.")
    for char in name:
        if unicodedata.category(char) in _UNSEEN:
            raise ArchiveError(f"{name[:80]!a} has the character U+{ord(char):04X}, which nobody can see.")


def write_zip(out: BinaryIO, members: Iterable[tuple[str, Path | bytes]]) -> None:
    """Write a deterministic zip to the seekable ``out``: members sorted by name, stored, dated 1980, mode 0644."""
    ordered = sorted(members, key=lambda member: member[0])
    if len(ordered) > MAX_MEMBERS:
        raise ArchiveError(f"The archive would have {len(ordered)} files; at most {MAX_MEMBERS} are allowed.")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ordered:
            check_name(name)
            info = _member(name, len(content) if isinstance(content, bytes) else content.stat().st_size)
            with archive.open(info, "w") as target:
                if isinstance(content, bytes):
                    target.write(content)
                else:
                    with content.open("rb") as source:
                        while data := source.read(_CHUNK):
                            target.write(data)


def _member(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_STORED
    info.file_size = size
    return info


def check_zip(path: Path) -> list[str]:
    """The names in a zip that is byte for byte what :func:`write_zip` makes of its content. Raises ProofError.

    Needs as much temporary disk space as the zip has.
    """
    with tempfile.TemporaryFile() as again:
        try:
            with zipfile.ZipFile(path) as archive, zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as copy:
                infos = archive.infolist()
                names = [info.filename for info in infos]
                if len(names) > MAX_MEMBERS or names != sorted(set(names)):
                    raise ProofError(f"{path.name} has too many members, or they are not sorted and distinct.")
                for info in infos:
                    check_name(info.filename)
                    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~0x800:
                        raise ProofError(f"{info.filename} in {path.name} is not stored plainly.")
                    with archive.open(info) as source, copy.open(_member(info.filename, info.file_size), "w") as target:
                        while data := source.read(_CHUNK):
                            target.write(data)
        except (
            zipfile.BadZipFile,
            ArchiveError,
            NotImplementedError,
            EOFError,
            ValueError,
            RuntimeError,
            OSError,
        ) as error:
            raise ProofError(f"{path.name} is not a whole zip file: {error}") from error
        again.seek(0)
        with path.open("rb") as original:
            while True:
                left, right = original.read(_CHUNK), again.read(_CHUNK)
                if left != right:
                    raise ProofError(
                        f"{path.name} is not identical to its own re-encoding: bytes were changed or added."
                    )
                if not left:
                    return names


def write_tar(out: BinaryIO, folder: Path) -> None:
    """Write ``folder`` as a deterministic tar: names sorted, mode 0644 or 0755, no times, no owners, no links."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in _walk(folder):
            status = path.lstat()
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            check_name(info.name)
            if stat.S_ISDIR(status.st_mode):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            elif stat.S_ISREG(status.st_mode):
                info.mode = 0o755 if status.st_mode & 0o100 else 0o644
                info.size = status.st_size
                with path.open("rb") as source:
                    archive.addfile(info, source)
            else:
                raise ArchiveError(
                    f"{path} is neither a file nor a folder; links and devices cannot be part of a dataset."
                )


def _walk(folder: Path) -> list[Path]:
    """Everything below ``folder``, sorted by the bytes of the relative path."""
    found = []
    for place, folders, files in os.walk(folder):
        found += [Path(place, name) for name in folders + files]
        if len(found) > 1_000_000:
            raise ArchiveError(f"{folder} holds more than a million files; pack them first.")
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


class Digesting:
    """A file to write to that keeps nothing but SHA-256 and size, and passes the bytes on when it has a target."""

    def __init__(self, target: BinaryIO | None = None) -> None:
        self._state = hashlib.sha256()
        self._target = target
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take ``data``."""
        self._state.update(data)
        self.size += len(data)
        if self._target is not None:
            self._target.write(data)
        return len(data)

    def digest(self) -> bytes:
        """SHA-256 of everything written, 32 bytes."""
        return self._state.digest()


def tar_digest(folder: Path) -> tuple[bytes, int]:
    """SHA-256 and size of the tar of ``folder``, without writing it anywhere."""
    sink = Digesting()
    write_tar(cast(BinaryIO, sink), folder)
    return sink.digest(), sink.size
