"""A folder on disk, by the same rules as an archive: within the limits, links only to its own files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.links import Link
from cloister.protocol.archives.paths import clean, shown
from cloister.protocol.archives.tree import ArchiveTree, Checking


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A file or a folder. ``source`` is the path of the file that has the content; None: a folder."""

    path: str
    source: str | None


def scan(folder: Path) -> tuple[list[FolderEntry], ArchiveTree]:
    """List what lies in ``folder``, sorted by the bytes of the path; and the same as the tree that the guest has.

    A link to a file in the same folder is that file. Raises ArchiveError as for an archive, and OSError.
    """
    tree = ArchiveTree(Checking())
    found: list[FolderEntry] = []
    for path, entry in _walk(folder, ""):
        clean(path)
        if entry.is_symlink():
            tree.link(path, Link(os.readlink(entry.path)))
        elif entry.is_dir():
            tree.folder(path)
            found.append(FolderEntry(path, None))
        elif entry.is_file():
            tree.file(path, entry.stat().st_size, iter(()))
            found.append(FolderEntry(path, path))
        else:
            raise ArchiveError(
                f"{shown(path)} is neither a file nor a folder nor a link.", hint="Remove it from the folder."
            )
    found += [FolderEntry(path, target) for path, target in tree.finish().items()]
    return sorted(found, key=lambda one: one.path.encode()), tree


def _walk(folder: Path, inside: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    pending = [inside]
    while pending:
        at = pending.pop()
        with os.scandir(folder / at) as entries:
            for entry in entries:
                path = f"{at}/{entry.name}" if at else entry.name
                yield path, entry
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
