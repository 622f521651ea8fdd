"""Pack everything that a build fetches into one tar, so that the build can be repeated without a network.

The tar contains ``inputs/<SHA-256>`` for each file, and ``locks/<name>.json`` for the reader.
"""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from cloister import userfile
from image.inputs import lockfile, recipe
from image.inputs.fetch import ensure
from image.inputs.lockfile import Lock


def vendor(words: str, into: Path) -> None:
    """Write the tar ``into`` with all inputs of a recipe, by name or path, and the host tools."""
    pack([lockfile.load(recipe.load(words).lock), lockfile.load(recipe.TOOLS)], into)


def pack(locks: Sequence[Lock], into: Path) -> Path:
    """Write the tar ``into`` with the inputs of ``locks``, fetching missing ones. Equal locks give equal bytes.

    Raises InputError when the tar cannot be written, and what ``fetch.ensure`` raises.
    """
    files: dict[str, Path] = {}
    for lock in locks:
        files |= ensure(lock)
    with userfile.replacing(into) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as archive:
        for lock in sorted(locks, key=lambda lock: lock.flavor):
            _add(archive, f"locks/{lock.flavor}.json", lock.encode())
        for digest, path in sorted(files.items()):
            _add(archive, f"inputs/{digest}", path.read_bytes())
    return into


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    # TarInfo's defaults: mode 0644, no owner, time 0.
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
