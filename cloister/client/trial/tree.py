"""The root file system of a guest image: the tar that `invoke image.export` writes, unpacked once into the cache."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import time
from pathlib import Path

from cloister import usercache, userfile
from cloister.errors import InputError
from cloister.protocol import guest, names
from cloister.protocol.archives import unpacking
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.links import Link
from cloister.protocol.archives.tree import ArchiveTree, Pieces, Writing
from cloister.protocol.wheels.filename import normalised

_MAX_SIZE = 4 * 1024**3
"""Bytes of all files. An image has some hundreds of MB."""

_KEPT = 4
"""Trees that are kept when another one is unpacked: the last ones used."""

_DAY = 24 * 3600.0
"""Seconds for which a tree is kept after its last use in any case: a trial may be running in it."""

_METADATA = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-py3[0-9.]*)?\.(?:dist|egg)-info")

_HINT = "Ask the platform team for the file that `invoke image.export` writes."


def open_tree(path: Path) -> Path:
    """The folder of a tree: ``path`` itself if it is a folder, else where the tar at ``path`` was unpacked.

    Raises InputError for anything else.
    """
    if path.is_dir():
        return path
    try:
        with userfile.open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise userfile.unreadable(path, error, missing=_HINT) from error
    folder = trees() / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{digest}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        os.utime(guard.fileno())
        if not folder.is_dir():
            _remove_unused(folder.parent)
            _unpack(path, folder)
    return folder


def python_packages(tree: Path) -> dict[str, str]:
    """The Python packages that algorithms find in a tree, normalised name -> version, by their metadata's names."""
    found: dict[str, str] = {}
    for folder in reversed(guest.PACKAGE_FOLDERS):
        with contextlib.suppress(OSError):
            for entry in sorted(os.listdir(tree / folder)):
                if (named := _METADATA.fullmatch(entry)) is not None:
                    found[normalised(named["name"])] = named["version"]
    return found


def trees() -> Path:
    """The folder of the user's cache that has unpacked trees by the digest of their file."""
    return usercache.root() / "trees"


def _remove_unused(cache: Path) -> None:
    """Make room for a tree. Each use opens the lock of its tree, whose time is that of the last one."""
    used = {lock: lock.stat().st_mtime for lock in cache.glob("*.lock") if lock.with_suffix("").is_dir()}
    for lock in sorted(used, key=used.__getitem__, reverse=True)[_KEPT - 1 :]:
        if used[lock] > time.time() - _DAY:
            continue
        with lock.open("r+") as guard, contextlib.suppress(BlockingIOError):
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Removed under another name: an interrupted removal leaves nothing that looks like a tree.
            leaving = lock.with_suffix(".part")
            shutil.rmtree(leaving, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.replace(lock.with_suffix(""), leaving)
            shutil.rmtree(leaving, ignore_errors=True)


def _unpack(path: Path, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    state = hashlib.sha256()
    try:
        part.mkdir(mode=0o755)
        with userfile.open_regular(path) as stream:
            unpacking.read_into(stream, _Tree(_Files(part), _MAX_SIZE), state.update)
        if state.hexdigest() != folder.name:
            raise InputError(f"{path} was changed while it was read.", hint="Run the command again.")
        os.replace(part, folder)
    except ArchiveError as error:
        raise InputError(f"{path} is not the root file system of a guest image. {error.message}", hint=_HINT) from error
    except OSError as error:
        raise InputError(f"{path} cannot be unpacked into {folder.parent}: {error.strerror}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Files(Writing):
    """Writes files and folders with the modes of a guest, whatever the umask."""

    def folder(self, path: str) -> None:
        super().folder(path)
        Path(self.into, path).chmod(0o755)

    def file(self, path: str, pieces: Pieces, executable: bool) -> None:
        super().file(path, pieces, executable)
        Path(self.into, path).chmod(0o755 if executable else 0o644)


class _Tree(ArchiveTree):
    """Links stay links, as the guest has them. They are made last, so that nothing is written through one."""

    def __init__(self, files: _Files, most: int) -> None:
        super().__init__(files, most)
        self._into = files.into
        self._targets: dict[str, str] = {}

    def link(self, path: str, link: Link) -> None:
        if link.hard:
            raise ArchiveError(f"{names.shown(path)} is a hard link.")
        super().link(path, link)
        self._targets[path] = link.target

    def finish(self) -> dict[str, str]:
        for path, target in self._targets.items():
            Path(self._into, path).symlink_to(target)
        return self._targets
