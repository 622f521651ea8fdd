"""The bundle: all packages that a Python algorithm needs in the guest, in one deterministic file.

A bundle is a tar archive (ustar, POSIX.1-1988; uncompressed, because wheels are compressed) with the members

    requirements.txt    one line ``name==version --hash=sha256:<hex>`` per wheel, sorted by normalised name
    wheels/<name>.whl   each wheel, sorted by file name; its SHA-256 is in requirements.txt

in this order: regular files of mode 0644, owner and group 0 without names, time 0, and nothing else. Equal locks give
equal bytes on every machine. The guest refuses a wheel whose hash the requirements do not name.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cloister import userfile
from cloister.client.computation.wheels import Wheel, fetch_wheels, read_requirements
from cloister.errors import InputError

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"
_LONGEST_MEMBER_NAME = 100  # the name field of a ustar header, so that no member needs the prefix field


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written. ``digest_hex`` is its SHA-256, ``size`` in bytes."""

    path: Path
    digest_hex: str
    size: int
    wheels: tuple[Wheel, ...]


def make_bundle(requirements: Path, output: Path, *, cache: Path | None = None) -> Bundle:
    """Pack the wheels of a locked requirements file into a bundle.

    Args:
        requirements: a requirements file with exact versions and hashes.
        output: the file of the bundle, replaced when the new one is complete.
        cache: the folder of wheels; None for the user's. Missing wheels are downloaded with pip.

    Returns:
        The bundle. Equal requirements give equal bytes.

    Raises:
        InputError: the requirements are not locked, or a file cannot be read or written.
        WheelError: a wheel cannot be downloaded, or its hash is not in the requirements.
    """
    wheels = fetch_wheels(read_requirements(requirements), cache)
    try:
        target = userfile.destination(output)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("x+b") as file:
                _write(file, wheels)
                size = file.tell()
                file.seek(0)
                digest_hex = hashlib.file_digest(file, "sha256").hexdigest()
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from error
    return Bundle(output, digest_hex, size, wheels)


def _write(file: BinaryIO, wheels: Sequence[Wheel]) -> None:
    lock = "".join(
        f"{wheel.requirement.name}=={wheel.requirement.version} --hash=sha256:{wheel.digest_hex}\n" for wheel in wheels
    ).encode()
    with tarfile.open(fileobj=file, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(_member(REQUIREMENTS, len(lock)), io.BytesIO(lock))
        for wheel in sorted(wheels, key=lambda wheel: wheel.path.name):
            with wheel.path.open("rb") as content:
                archive.addfile(_member(f"{WHEELS}/{wheel.path.name}", wheel.size), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    if len(name) > _LONGEST_MEMBER_NAME:
        raise InputError(
            f"{name} has {len(name)} characters; at most {_LONGEST_MEMBER_NAME} are supported in a bundle."
        )
    member = tarfile.TarInfo(name)
    member.size = size
    return member
