"""Pack everything that a build fetches into one tar, from which it can be repeated without any network.

``inputs/<SHA-256>`` is each file, ``locks/<name>.json`` each lock, for the reader.
"""

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from image.inputs.fetch import ensure
from image.inputs.lockfile import Lock


def pack(locks: Sequence[Lock], into: Path) -> Path:
    """Write the tar ``into`` with the inputs of ``locks``, fetched where absent; the same locks give the same bytes.

    Raises InputError when it cannot be written, and what ``ensure`` raises.
    """
    files: dict[str, Path] = {}
    for lock in locks:
        files |= ensure(lock)
    part = into.with_name(f"{into.name}.part")
    try:
        userfile.check(into)
        into.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as archive:
            for lock in sorted(locks, key=lambda lock: lock.flavor):
                _add(archive, f"locks/{lock.flavor}.json", lock.encode())
            for digest, path in sorted(files.items()):
                _add(archive, f"inputs/{digest}", path.read_bytes())
        os.replace(part, into)
    except OSError as error:
        raise InputError(f"{into} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return into


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    # TarInfo's own defaults: mode 0644, no owner, the epoch as time.
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
