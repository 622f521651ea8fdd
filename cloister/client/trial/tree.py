"""The root file system of a guest image: the tar that `invoke image.export` writes, unpacked once into the cache."""

import fcntl
import hashlib
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError

_MAX_MEMBERS = 100_000
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
        raise InputError(f"{path} cannot be read: {error.strerror}.", hint=_HINT) from error
    folder = trees() / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{digest}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.is_dir():
            _unpack(path, folder)
    return folder


def trees(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's cache that has unpacked trees by the digest of their file."""
    named = environment.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".cache") / "cloister" / "trees"


def _unpack(path: Path, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        with tarfile.open(path) as archive:
            _extract(archive, part)
        os.replace(part, folder)
    except (tarfile.TarError, EOFError, ValueError, FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{path} is no tree of a guest image: {error}.", hint=_HINT) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(archive: tarfile.TarFile, into: Path) -> None:
    """Extract folders, files and links. Links come last, so that nothing is written through one."""
    links = []
    for count, member in enumerate(archive):
        parts = member.name.split("/")
        if count >= _MAX_MEMBERS or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"it has the member {member.name[:80]!r}")
        target = into.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            target.mkdir(exist_ok=True)
        elif member.issym():
            links.append((target, member.linkname))
            continue
        elif member.isreg() and (contents := archive.extractfile(member)) is not None:
            with contents, target.open("xb") as file:
                shutil.copyfileobj(contents, file)
        else:
            raise ValueError(f"{member.name[:80]!r} is no file, folder or link")
        target.chmod(0o755 if member.isdir() or member.mode & 0o100 else 0o644)
    for target, destination in links:
        target.symlink_to(destination)
