"""Files that systems, editors and Office leave in folders of data, and that hardly anyone means to hand out."""

from collections.abc import Iterable
from pathlib import Path

from cloister.protocol import names
from cloister.protocol.archives.tree import Checking, Pieces

_NAMED = 3
_NAMES = {".ds_store", "thumbs.db", "desktop.ini", ".directory"}
_STARTS = ("._", "~$", ".~lock.")
_ENDS = ("~", ".swp")
_FOLDERS = {"__MACOSX", ".git", ".svn", ".ipynb_checkpoints", "__pycache__", "$RECYCLE.BIN", ".Trashes"}


def is_leftover(path: str) -> bool:
    """Whether the file at ``path``, with its folders, is one of them."""
    *folders, name = path.split("/")
    return (
        name.lower() in _NAMES or name.startswith(_STARTS) or name.endswith(_ENDS) or not _FOLDERS.isdisjoint(folders)
    )


def in_folder(folder: Path) -> tuple[str, ...]:
    """The paths of those in ``folder``, sorted. Raises OSError."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return tuple(sorted(filter(is_leftover, paths)))


class Noticing(Checking):
    """Reads an archive, and remembers the paths of those in it as ``found``."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def file(self, path: str, pieces: Pieces, executable: bool) -> None:
        """Read the file."""
        self._notice(path)
        super().file(path, pieces, executable)

    def copy(self, source: str, path: str) -> None:
        """Nothing to read."""
        self._notice(path)
        super().copy(source, path)

    def _notice(self, path: str) -> None:
        if is_leftover(path):
            self.found.append(path)


def warning(file: str, leftovers: Iterable[str]) -> str:
    """A sentence about those in the asset ``file``; empty without any."""
    paths = list(leftovers)
    if not paths:
        return ""
    shown = ", ".join(names.shown(path) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return (
        f"{names.shown(file)} also has what a system or program left there: {shown}{more}. Unless the algorithm needs "
        "it, remove it first."
    )
