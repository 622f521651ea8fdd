"""Cached steps of a build: a step's trees or file are kept under the SHA-256 of everything that they are made from."""

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from image import disk_space
from image.build import kept
from image.errors import ImageError
from image.rootfs.tree import Tree

_KEPT = 64
_FILE = "file"

Made = TypeVar("Made")


@dataclass(frozen=True)
class Steps:
    """Runs steps and announces each with ``say``. Without a ``folder`` every step runs and nothing is kept.

    Several threads may run steps at once.
    """

    folder: Path | None
    say: Callable[[str], None]

    def file(self, name: str, inputs: Mapping[str, object], make: Callable[[], bytes]) -> bytes:
        """What ``make`` returns, or what is kept of an earlier run with equal ``inputs``."""
        return self._run(name, inputs, make, _read_file, _write_file)

    def trees(
        self, name: str, inputs: Mapping[str, object], make: Callable[[], Mapping[str, Tree]]
    ) -> Mapping[str, Tree]:
        """As ``file``, for trees by name."""
        return self._run(name, inputs, make, _read_trees, _write_trees)

    def _run(
        self,
        name: str,
        inputs: Mapping[str, object],
        make: Callable[[], Made],
        read: Callable[[Path, list[str]], Made],
        write: Callable[[Path, Made], None],
    ) -> Made:
        if self.folder is None:
            self.say(name)
            return make()
        folder = self.folder / hashlib.sha256(json.dumps([name, inputs], sort_keys=True).encode()).hexdigest()
        try:
            names = kept.names(folder)
            if names is not None:
                self.say(f"{name} (cached)")
                os.utime(folder)
                return read(folder, names)
        except (OSError, tarfile.TarError, ImageError):
            # Another process has deleted it meanwhile.
            pass
        self.say(name)
        made = make()
        with disk_space.needed(self.folder, disk_space.CACHE_HINT):
            kept.write(folder, lambda new: write(new, made))
        return made

    def prune(self) -> None:
        """Delete the least recently used steps; a changed agent adds about 60 MB."""
        if self.folder is None or not self.folder.is_dir():
            return
        used = sorted((path for path in self.folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for path in used[:-_KEPT]:
            shutil.rmtree(path, ignore_errors=True)


def _read_file(folder: Path, names: list[str]) -> bytes:
    return (folder / names[0]).read_bytes()


def _write_file(folder: Path, made: bytes) -> None:
    (folder / _FILE).write_bytes(made)


def _read_trees(folder: Path, names: list[str]) -> Mapping[str, Tree]:
    trees = {}
    for name in names:
        with (folder / name).open("rb") as file:
            trees[name] = Tree.from_archive(file)
    return trees


def _write_trees(folder: Path, made: Mapping[str, Tree]) -> None:
    for name, tree in made.items():
        with (folder / name).open("wb") as file:
            tree.archive(file)
