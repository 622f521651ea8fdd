"""The root file system of a built image as a folder, for trials, and as a tar for parties without a checkout."""

import fcntl
import gzip
import os
import shutil
import stat
import tarfile
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from image import cache, disk_space
from image.build import output
from image.errors import ImageError
from image.inputs import host_tools

_FILE_SYSTEM = "root.erofs"


def unpacked(image: Path) -> Path:
    """The folder with the files of the image in the folder ``image``; unpacked into the cache if needed."""
    source = image / _FILE_SYSTEM
    if not source.is_file():
        raise ImageError(
            f"{image} has no {_FILE_SYSTEM}.",
            hint=f"Build the image with {output.building(image)}.",
            exit_code=InputError.exit_code,
        )
    folder = cache.root() / "trees" / cache.digest(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.is_dir():
            with disk_space.needed(folder.parent, disk_space.CACHE_HINT):
                _unpack(source, folder)
    return folder


def _unpack(source: Path, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        # Modes as in the image, independent of the umask.
        options = (f"--extract={part}", "--no-preserve-owner", "--preserve-perms")
        host_tools.ensure().run("fsck.erofs", *options, source)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def export(image: Path, target: Path) -> int:
    """Write the files of the image in the folder ``image`` to a tar, with the same bytes each time. Its size."""
    tree = unpacked(image)
    with userfile.replacing(target) as part:
        _pack(tree, part)
    return target.stat().st_size


def _pack(tree: Path, target: Path) -> None:
    with (
        target.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(tree.rglob("*")):
            _add(archive, path, path.relative_to(tree).as_posix())


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    status = path.lstat()
    member.mode = stat.S_IMODE(status.st_mode)
    if path.is_symlink():
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif path.is_dir():
        member.type = tarfile.DIRTYPE
    else:
        member.size = status.st_size
        with path.open("rb") as contents:
            archive.addfile(member, contents)
        return
    archive.addfile(member)
