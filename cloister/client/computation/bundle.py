"""The wheel bundle: all packages that a Python algorithm needs in the guest, in one deterministic file.

A bundle is a tar archive (ustar, POSIX.1-1988; uncompressed, because wheels are compressed) with the members

    requirements.txt    one line ``name==version --hash=sha256:<hex>`` per wheel, sorted by normalised name
    wheels/<name>.whl   each wheel, in the order of the names; its SHA-256 stands in requirements.txt

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
from cloister.client.computation.wheels import Wheel, fetch, read_requirements
from cloister.errors import InputError

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"
_LONGEST_MEMBER_NAME = 100  # the name field of a ustar header, so that no member needs the prefix field


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written: SHA-256 in hex, size in bytes, and what is in it."""

    path: Path
    digest_hex: str
    size: int
    wheels: tuple[Wheel, ...]


def make(requirements: Path, output: Path, *, cache: Path | None = None) -> Bundle:
    """Write the bundle of a hash-locked requirements file to ``output``, which is replaced only when complete.

    Wheels come from ``cache`` (the user's by default) or through pip. Raises InputError for a file that is not locked,
    WheelError for a wheel that cannot be had or is not what the lock says.
    """
    wheels = fetch(read_requirements(requirements), cache)
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
        raise InputError(f"{name} has {len(name)} characters; a name in a bundle has at most {_LONGEST_MEMBER_NAME}.")
    member = tarfile.TarInfo(name)
    member.size = size
    return member
