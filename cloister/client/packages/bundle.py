"""Make a bundle: all packages that a Python algorithm needs in the guest, in one deterministic file.

Its form is in cloister/protocol/wheels/bundle.py. What the launcher would refuse is refused here. The bytes of a wheel
pass through in pieces: SHA-256 is computed of the bundle, and CRC-32 of each wheel, whose SHA-256 was verified before.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from cloister import userfile
from cloister.client.packages import better, cpu_features, image_packages
from cloister.client.packages.inspection import Inspection, inspect_wheels
from cloister.client.packages.lock import lock_requirements
from cloister.client.packages.memory import suggested_memory
from cloister.client.packages.requirements import Requirement, Requirements, read_requirements
from cloister.client.packages.wheels import Wheel, default_cache, find_wheels
from cloister.errors import InputError
from cloister.protocol import guest
from cloister.protocol.wheels import bundle as form
from cloister.protocol.wheels.filename import normalised
from cloister.protocol.wheels.image_packages import comments
from cloister.protocol.wheels.installation import Installation
from cloister.userfile import FilePath

if TYPE_CHECKING:
    from cloister.protocol.imagemanifest import ImageManifest

_CHUNK = 1024 * 1024
_BLOCK = 512
_RECORD = 20 * _BLOCK
_ATTEMPTS = 3
_NAMED = 4
_DRIVER = ("libcuda.so.", "libnvidia-", "libnvcuvid.so.", "libnvoptix.so.")


@dataclass(frozen=True)
class MissingLibrary:
    """A shared library that neither the bundle nor the guest has. ``better`` is "" if no better package is known."""

    library: str
    package: str
    file: str
    better: str

    @property
    def of_driver(self) -> bool:
        """Whether it belongs to the driver of a GPU."""
        return self.library.startswith(_DRIVER)


def missing_warnings(missing: Iterable[MissingLibrary]) -> tuple[str, ...]:
    """A sentence for each package that needs libraries that are missing, and one for those of a GPU's driver."""
    groups: dict[tuple[str, bool], list[MissingLibrary]] = {}
    for one in missing:
        groups.setdefault((one.package, one.of_driver), []).append(one)
    return tuple(_missing_warning(package, found) for (package, _), found in groups.items())


def _missing_warning(package: str, missing: Sequence[MissingLibrary]) -> str:
    (first, *others) = missing
    named = ", ".join(one.library for one in missing[:_NAMED])
    if len(missing) > _NAMED:
        named += f" and {len(missing) - _NAMED} more"
    where = f"({first.file}{' and others' if any(one.file != first.file for one in others) else ''})"
    if first.of_driver:
        said = f"{package} needs {named} of a GPU's driver {where}, and the guest has no GPU."
    else:
        noun = "libraries" if others else "library"
        said = f"{package} needs the {noun} {named} {where}, which neither bundle nor guest has."
    advice = better.advice(normalised(package))
    return f"{said} {advice or 'What needs this fails when it is imported; the rest works.'}"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written. ``digest_hex`` is its SHA-256, ``size`` in bytes."""

    path: Path
    digest_hex: str
    size: int
    wheels: tuple[Wheel, ...]
    unpacked_size: int
    """Bytes of the guest's memory that the unpacked wheels take, a part of ``limits.memory``."""
    missing_libraries: tuple[MissingLibrary, ...]
    """What neither bundle nor guest has; ``library_warnings`` says it in sentences."""
    cpu_warnings: tuple[str, ...]
    """A sentence for each package that needs AVX2 or more."""
    lock: Path | None
    """The lock that was written first; None if the requirements were locked."""
    index_lines: tuple[str, ...]
    """The lines about indexes, without what may be secret. They served locking only."""
    image_packages: Mapping[str, str]
    """The packages of the image that the bundle counts on: normalised name to version."""

    @property
    def library_warnings(self) -> tuple[str, ...]:
        """A sentence for each package that needs missing libraries."""
        return missing_warnings(self.missing_libraries)

    @property
    def suggested_memory(self) -> str:
        """The least ``limits.memory`` to write: the unpacked wheels, and 256 MiB for the program and its data."""
        return suggested_memory(self.unpacked_size)


def make_bundle(
    requirements: FilePath, output: FilePath, *, cache: FilePath | None = None, image: "ImageManifest | None" = None
) -> Bundle:
    """Pack the wheels of a requirements file into a bundle. A file that is not locked is locked first.

    Args:
        requirements: a requirements file.
        output: the file of the bundle, replaced when the new one is complete.
        cache: the folder of wheels; None for the user's. Missing wheels are downloaded with pip.
        image: the image that will run it. The bundle leaves out its packages where their versions are the right ones.

    Returns:
        The bundle. Equal locks give equal bytes.

    Raises:
        InputError: a line cannot be taken, or a file cannot be read or written.
        PackageLockError: the requirements cannot be locked.
        WheelError: a wheel cannot be downloaded, or its hash is not in the requirements.
        BundleError: the guest would not install a wheel.
    """
    requirements = Path(requirements)
    output = Path(output)
    cache = Path(cache) if cache is not None else None
    folder = default_cache() if cache is None else cache
    read = read_requirements(requirements)
    try:
        userfile.check(output)
    except OSError as error:
        raise userfile.unwritable(output, error) from error
    lock = None
    options: Sequence[tuple[str, str]] = ()
    if read.unlocked is not None:
        made = lock_requirements(requirements, image=image)
        lock, packages, options = made.path, made.requirements, read.index_options
        counted: Mapping[str, str] = made.image_packages
    else:
        packages, counted = _without_the_images(read, image)
    if not packages:
        raise InputError(
            f"The image has all packages of {requirements}, so no bundle is needed.",
            hint="Name no bundle in the manifest, and pass --image to `manifest`.",
        )
    if len(packages) > form.MAX_WHEELS:
        raise InputError(f"{requirements} has {len(packages)} packages; at most {form.MAX_WHEELS} are allowed.")
    for _ in range(_ATTEMPTS):
        wheels = find_wheels(packages, folder, index_options=options)
        inspections = inspect_wheels(wheels)
        unpacked = _check(wheels, inspections)
        written = _write(wheels, [one.checksum for one in inspections], output, counted)
        if written is not None:
            break
    else:
        raise InputError(f"The wheels in {folder} change while they are read.", hint="Run the command again.")
    digest_hex, size = written
    missing = tuple(_missing(wheels, inspections))
    cpu = cpu_features.warnings(normalised(wheel.requirement.name) for wheel in wheels)
    return Bundle(output, digest_hex, size, wheels, unpacked, missing, cpu, lock, tuple(read.index_lines()), counted)


def _without_the_images(
    read: Requirements, image: "ImageManifest | None"
) -> tuple[tuple[Requirement, ...], dict[str, str]]:
    """The packages of a lock that the image does not have, and those that it has. Raises InputError."""
    packages = read.locked()
    counted = dict(read.image_packages)
    if image is None:
        if counted:
            raise InputError(
                f"{read.path} counts on packages of an image: {', '.join(sorted(counted)[:8])}.",
                hint="Pass --image with the image's manifest, or lock again without it.",
            )
        return packages, counted
    image_packages.require(counted, image, str(read.path))
    kept = []
    for package in packages:
        name = normalised(package.name)
        found = image.packages.get(name)
        if found is not None and image_packages.same_version(found, package.version):
            counted[name] = found
        else:
            kept.append(package)
    return tuple(kept), counted


def _check(wheels: Sequence[Wheel], inspections: Sequence[Inspection]) -> int:
    """Install the wheels in thought; the bytes that they take. Raises BundleError for what the launcher refuses."""
    installed = Installation()
    for wheel, found in zip(wheels, inspections, strict=True):
        for file in found.files:
            installed.place(file.path, wheel.path.name)
            installed.add(file.path, wheel.path.name, bytes.fromhex(file.digest_hex), file.size)
    for found in inspections:
        for name in found.programs:
            if installed.place(f"{form.PROGRAMS}/{name}", "an entry point"):
                installed.add(f"{form.PROGRAMS}/{name}", "an entry point", b"", 1)
    return installed.size


def _missing(wheels: Sequence[Wheel], inspections: Sequence[Inspection]) -> list[MissingLibrary]:
    """The libraries that nothing has, wherever a file of that name is: packages load their own by path."""
    known = guest.LIBRARIES.union(*(found.libraries for found in inspections))
    return [
        MissingLibrary(library, wheel.requirement.name, file, better.package(normalised(wheel.requirement.name)) or "")
        for wheel, found in zip(wheels, inspections, strict=True)
        for library, file in sorted(found.needs.items())
        if library not in known
    ]


def _write(
    wheels: Sequence[Wheel], checksums: Sequence[int], output: Path, counted: Mapping[str, str]
) -> tuple[str, int] | None:
    """Write the bundle; its digest and size. None if a wheel has changed, which is then removed from the cache."""
    try:
        with userfile.replacing(output) as part, part.open("xb", buffering=0) as file:
            return _write_members(file, wheels, checksums, counted)
    except _WheelChanged:
        return None


class _WheelChanged(Exception):
    """A wheel in the cache is not the one that was inspected."""


def _write_members(
    file: RawIOBase, wheels: Sequence[Wheel], checksums: Sequence[int], counted: Mapping[str, str]
) -> tuple[str, int]:
    lock = (comments(counted) + "".join(f"{_locked(wheel)}\n" for wheel in wheels)).encode()
    with ThreadPoolExecutor(1) as pool:
        bundle = _Written(file, pool)
        bundle.write(form.header(form.REQUIREMENTS, len(lock)) + lock + bytes(-len(lock) % _BLOCK))
        for wheel, checksum in sorted(zip(wheels, checksums, strict=True), key=lambda pair: pair[0].path.name):
            bundle.write(form.header(f"{form.WHEELS}/{wheel.path.name}", wheel.size))
            with wheel.path.open("rb", buffering=0) as source:
                found = bundle.copy(source)
            if found != (wheel.size, checksum):
                wheel.path.unlink(missing_ok=True)
                raise _WheelChanged
            bundle.write(bytes(-wheel.size % _BLOCK))
        end = bundle.size + 2 * _BLOCK
        bundle.write(bytes(2 * _BLOCK + -end % _RECORD))
        return bundle.state.hexdigest(), bundle.size


def _locked(wheel: Wheel) -> str:
    return Requirement(wheel.requirement.name, wheel.requirement.version, (wheel.digest_hex,)).line()


class _Written:
    """The file of the bundle with its digest and size so far."""

    def __init__(self, file: RawIOBase, pool: ThreadPoolExecutor) -> None:
        self._file = file
        self._pool = pool
        self._buffers = (memoryview(bytearray(_CHUNK)), memoryview(bytearray(_CHUNK)))
        self.state = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write and hash some bytes."""
        self.state.update(data)
        self._put(data)

    def copy(self, source: RawIOBase) -> tuple[int, int]:
        """Write and hash a file; return its bytes and CRC-32. Hashing, writing and reading the next piece overlap."""
        checksum, before = 0, self.size
        this, other = self._buffers
        count = source.readinto(this) or 0
        while count:
            data = this[:count]
            hashing = self._pool.submit(self.state.update, data)
            checksum = zlib.crc32(data, checksum)
            self._put(data)
            count = source.readinto(other) or 0
            this, other = other, this
            hashing.result()
        return self.size - before, checksum

    def _put(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        self.size += len(data)
