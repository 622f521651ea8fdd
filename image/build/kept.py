"""Folders of the cache with what a build made, which are used only as this user wrote them.

A folder has the name of what it is made from, is private, and has each file's digest beside it: nothing damaged or put
there by another user is taken for what the build made.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from image import cache

_DIGESTS = "digests.json"


def names(kept: Path) -> list[str] | None:
    """The names of the kept files. None without any, and where one is not what a build of this user wrote."""
    if not kept.is_dir():
        return None
    status = kept.stat()
    try:
        said = json.loads((kept / _DIGESTS).read_bytes())
        if (
            status.st_uid == os.geteuid()
            and not stat.S_IMODE(status.st_mode) & 0o077
            and said["step"] == kept.name
            and all(cache.digest(kept / name) == digest for name, digest in said["files"].items())
        ):
            return sorted(said["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    shutil.rmtree(kept, ignore_errors=True)
    return None


def write(destination: Path, fill: Callable[[Path], None]) -> None:
    """Write all files or none, so that an interrupted step leaves nothing."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=destination.parent))
    try:
        fill(folder)
        files = {path.name: cache.digest(path) for path in sorted(folder.iterdir())}
        (folder / _DIGESTS).write_text(json.dumps({"step": destination.name, "files": files}))
        folder.rename(destination)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        # Another build may have run the same step at the same time.
        if not isinstance(error, OSError) or not destination.is_dir():
            raise
