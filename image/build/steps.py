"""Cached steps of a build: a step's files are kept under the SHA-256 of everything that they are made from."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image import disk_space

_KEPT = 48


@dataclass(frozen=True)
class Steps:
    """Runs steps and announces each with ``say``. Without a ``folder`` every step runs and nothing is kept."""

    folder: Path | None
    say: Callable[[str], None]

    def run(self, name: str, inputs: Mapping[str, object], make: Callable[[], Mapping[str, bytes]]) -> dict[str, bytes]:
        """The files that ``make`` returns, by name, or the kept ones of an earlier run with equal ``inputs``."""
        key = hashlib.sha256(json.dumps([name, inputs], sort_keys=True).encode()).hexdigest()
        if self.folder is None:
            self.say(name)
            return dict(make())
        kept = self.folder / key
        if kept.is_dir():
            self.say(f"{name} (cached)")
            os.utime(kept)
            return {path.name: path.read_bytes() for path in sorted(kept.iterdir())}
        self.say(name)
        files = dict(make())
        with disk_space.needed(self.folder, disk_space.CACHE_HINT):
            _keep(kept, files)
        return files

    def prune(self) -> None:
        """Delete the least recently used steps; a changed agent adds about 40 MB."""
        if self.folder is None or not self.folder.is_dir():
            return
        used = sorted((path for path in self.folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for path in used[:-_KEPT]:
            shutil.rmtree(path, ignore_errors=True)


def _keep(destination: Path, files: Mapping[str, bytes]) -> None:
    """Write all files or none, so that an interrupted step leaves nothing."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=destination.parent))
    try:
        for name, contents in files.items():
            (folder / name).write_bytes(contents)
    except OSError:
        shutil.rmtree(folder)
        raise
    try:
        folder.rename(destination)
    except OSError:
        # Another build ran the same step at the same time.
        shutil.rmtree(folder)
