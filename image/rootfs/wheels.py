"""Unpack Python wheels into the guest's folder of packages.

Binary distribution format (packaging.python.org): a wheel is a zip whose files, including those under
``NAME.data/{purelib,platlib}``, go to the root of a folder on Python's path.
"""

import re
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from image.errors import ImageError
from image.rootfs.tree import Tree, TreeEntry, Unwanted
from image.rootfs.workers import Workers

_DATA = re.compile(r"[^/]+\.data/(?P<scheme>[^/]+)/(?P<rest>.+)")


def unpack(wheels: Mapping[str, Path], *, folder: str, unwanted: Unwanted, workers: Workers) -> Tree:
    """Unpack ``wheels`` (name -> .whl) below ``folder``, without what is ``unwanted``."""
    tree = Tree()
    for files in workers.map(_files, sorted(wheels.items())):
        for path, entry in files.items():
            tree.put(f"{folder}/{path}", entry)
    tree.remove(unwanted)
    return tree


def _files(wheel: tuple[str, Path]) -> dict[str, TreeEntry]:
    name, path = wheel
    files: dict[str, TreeEntry] = {}
    with opened(name, path) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            placed = place(member.filename)
            if member.is_dir() or placed is None:
                continue
            shared_object = placed.endswith(".so") or ".so." in placed
            files[placed] = TreeEntry.file(archive.read(member), executable=shared_object)
    return files


@contextmanager
def opened(name: str, wheel: Path) -> Generator[zipfile.ZipFile]:
    """The files of the wheel of ``name``. Raises ImageError when it is damaged, also while they are read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise ImageError(f"The wheel of {name} is damaged: {error}.") from error


def place(name: str) -> str | None:
    """Where a member goes; None for scripts, headers and data, which the guest does not need."""
    data = _DATA.fullmatch(name)
    if data is None:
        return name
    return data["rest"] if data["scheme"] in ("purelib", "platlib") else None
