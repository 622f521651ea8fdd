"""The deterministic zip of a result.

Its members are stored, not deflated: deflate output depends on the library's version, and a reader must be able to
re-encode the archive to the same bytes.
"""

import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cloister.errors import ChangedFileError
from cloister.protocol import names
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.reader import Source
from cloister.protocol.archives.zipdirectory import count_members

_CHUNK = 1024 * 1024
MAX_MEMBERS = 10_000
_EPOCH = (1980, 1, 1, 0, 0, 0)


def check_name(name: str) -> None:
    """Raise ArchiveError unless ``name`` is a relative path that stays inside its folder (``names.path_problem``)."""
    if (why := names.path_problem(name)) is not None:
        raise ArchiveError(f"{names.shown(name)} {why}.")


def _check_twins(found: Iterable[str]) -> None:
    if (twins := names.twins(found)) is not None:
        one, other = twins
        raise ArchiveError(f"{names.shown(one)} and {names.shown(other)} are the same name on some systems.")


def check_members(found: list[str]) -> None:
    """Raise ArchiveError unless the files ``found`` can lie together in one folder, on every system."""
    for name in found:
        check_name(name)
    folders = {str(parent) for name in found for parent in PurePosixPath(name).parents}
    _check_twins([*folders, *found])


def write_zip(out: BinaryIO, members: Iterable[tuple[str, Path | bytes]]) -> None:
    """Write a deterministic zip to the seekable ``out``: members sorted by name, stored, dated 1980, mode 0644."""
    ordered = sorted(members, key=lambda member: member[0])
    if len(ordered) > MAX_MEMBERS:
        raise ArchiveError(f"The archive would have {len(ordered)} files; at most {MAX_MEMBERS} are allowed.")
    check_members([name for name, _ in ordered])
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ordered:
            info = _member(name, len(content) if isinstance(content, bytes) else content.stat().st_size)
            with archive.open(info, "w") as target:
                if isinstance(content, bytes):
                    target.write(content)
                else:
                    with content.open("rb") as source:
                        while data := source.read(_CHUNK):
                            target.write(data)


def add_member(source: Path, out: BinaryIO, name: str, content: bytes) -> None:
    """Write to ``out`` what :func:`write_zip` makes of the members of its zip ``source`` and of one more."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as after:
        members = {info.filename: info.file_size for info in before.infolist()} | {name: len(content)}
        for one, size in sorted(members.items()):
            with after.open(_member(one, size), "w") as target:
                if one == name:
                    target.write(content)
                    continue
                with before.open(one) as member:
                    while data := member.read(_CHUNK):
                        target.write(data)


def _member(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_STORED
    info.file_size = size
    return info


def check_zip(path: Path) -> list[str]:
    """The member names of a zip that is byte for byte what :func:`write_zip` writes. Raises ProofError.

    Needs temporary disk space of the zip's size.
    """
    with tempfile.TemporaryFile() as again:
        try:
            with path.open("rb") as stream:  # zipfile holds the whole directory
                if count_members(Source(stream)) > MAX_MEMBERS:
                    raise ChangedFileError(f"{path.name} must have at most {MAX_MEMBERS} members.")
            with zipfile.ZipFile(path) as archive, zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as copy:
                infos = archive.infolist()
                found = [info.filename for info in infos]
                if found != sorted(set(found)):
                    raise ChangedFileError(f"The members of {path.name} must be sorted and distinct.")
                if sum(info.file_size for info in infos) > path.stat().st_size:
                    raise ChangedFileError(f"The members of {path.name} overlap.")
                check_members(found)
                for info in infos:
                    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~0x800:
                        member = names.shown(info.filename)
                        raise ChangedFileError(f"{member} in {path.name} must be neither compressed nor encrypted.")
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
            OverflowError,
            struct.error,
        ) as error:
            raise ChangedFileError(f"{path.name} is not a complete zip file: {error}") from error
        again.seek(0)
        with path.open("rb") as original:
            while True:
                left, right = original.read(_CHUNK), again.read(_CHUNK)
                if left != right:
                    raise ChangedFileError(
                        f"{path.name} differs from its own re-encoding: bytes were changed or added."
                    )
                if not left:
                    return found
