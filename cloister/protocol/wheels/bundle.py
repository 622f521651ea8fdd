"""The form of a bundle, and how the launcher installs one.

A bundle is a tar archive (POSIX.1-2001; uncompressed, because wheels are compressed) with the members

    requirements.txt    one line ``name==version --hash=sha256:<hex>`` per wheel, sorted by normalised name; before
                        them a comment ``# image: name==version`` for each package of the image that it counts on
    wheels/<name>.whl   each wheel, sorted by file name; its SHA-256 is in requirements.txt

in this order: regular files of mode 0644, owner and group 0 without names, time 0, and nothing else. A name of more
than 100 characters is in a pax header, which has no other record. Equal locks give equal bytes on every machine.
"""

import hashlib
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from cloister.protocol.wheels import image_packages
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.installation import Installation
from cloister.protocol.wheels.wheel import OpenWheel

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"
PROGRAMS = "bin"
LIBRARIES = "lib"
MAX_WHEELS = 2000
MAX_REQUIREMENTS = 4 * 1024 * 1024
_CHUNK = 1024 * 1024
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_MEMBER = re.compile(rf"{WHEELS}/([^/]+\.whl)")
Write = Callable[[bytes], object]


def member(name: str, size: int) -> tarfile.TarInfo:
    """The member of a bundle: name and size are all that differs."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def header(name: str, size: int) -> bytes:
    """The bytes before a member's content."""
    return member(name, size).tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def wheels(path: Path, image: Path | None = None) -> Iterator[tuple[str, IO[bytes]]]:
    """File name and content of each wheel of a bundle, if the bundle names its SHA-256. Raises BundleError.

    ``image`` is the file of an image's packages, which must be those that the bundle counts on; None does not compare.
    """
    with _opened(path) as archive:
        first, *rest = _members(archive)
        if first.name != REQUIREMENTS:
            raise BundleError(f"The first member of the bundle must be {REQUIREMENTS}.")
        requirements = _read(archive, first).decode("utf-8", "replace")
        if image is not None:
            image_packages.require(requirements, image)
        allowed = set(_HASH.findall(requirements))
        with open(path, "rb", buffering=0) as other, ThreadPoolExecutor(1) as pool:
            digests = _Digests(other.fileno(), rest, pool)
            for info in rest:
                named = _MEMBER.fullmatch(info.name)
                source = archive.extractfile(info)
                if source is None or named is None:
                    raise BundleError(f"Bundle member {info.name[:80]!r} is not a wheel.")
                found = next(digests)
                if found not in allowed:
                    raise BundleError(f"{named[1]}: SHA-256 {found} is not in the bundle's {REQUIREMENTS}.")
                with source:
                    yield named[1], source


class _Digests:
    """The SHA-256 of the members, one after the other. The next one is computed while the caller has the last one."""

    def __init__(self, descriptor: int, members: Iterable[tarfile.TarInfo], pool: ThreadPoolExecutor) -> None:
        self._descriptor = descriptor
        self._members = iter(members)
        self._pool = pool
        self._ahead = self._start()

    def __next__(self) -> str:
        found = self._ahead()
        self._ahead = self._start()
        return found

    def _start(self) -> Callable[[], str]:
        """A function that waits for the digest of the next member."""
        info = next(self._members, None)
        if info is None:
            return str
        try:
            return self._pool.submit(_digest, self._descriptor, info).result
        except RuntimeError:  # the run may have one process only, without further threads
            return partial(_digest, self._descriptor, info)


class WheelTarget(Protocol):
    """Where wheels are installed. Paths are relative; the same one is not made twice."""

    def file(self, path: str, executable: bool, fill: Callable[[Write], bytes]) -> bytes:
        """Make a file, and the folders around it. ``fill`` writes it and returns its digest, which is returned."""

    def make_executable(self, path: str) -> None:
        """Make a file executable that was made before."""


class Folder:
    """The folder ``into`` as a target."""

    def __init__(self, into: Path) -> None:
        into.mkdir(parents=True, exist_ok=True)
        self._into = str(into)
        self._folders = {""}

    def file(self, path: str, executable: bool, fill: Callable[[Write], bytes]) -> bytes:
        """Make a file. Raises OSError."""
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            os.makedirs(f"{self._into}/{folder}", exist_ok=True)
            self._folders.add(folder)
        # Without a file object: most wheels have thousands of small files.
        mode = 0o755 if executable else 0o644
        out = os.open(f"{self._into}/{path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            digest = fill(partial(_write_all, out))
            if stat.S_IMODE(os.fstat(out).st_mode) != mode:  # by the umask
                os.fchmod(out, mode)
        finally:
            os.close(out)
        return digest

    def make_executable(self, path: str) -> None:
        """Make a file executable. Raises OSError."""
        Path(self._into, path).chmod(0o755)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def install(path: Path, into: WheelTarget, interpreter: str, image: Path | None = None) -> None:
    """Install a bundle's wheels; ``image`` as for :func:`wheels`. Raises BundleError.

    A program of an entry point gives way to one of that name that is already there.
    """
    installed = Installation()
    programs: dict[str, bytes] = {}
    for file, source in wheels(path, image):
        wheel = OpenWheel(source, file)
        for name, text in wheel.programs(interpreter).items():
            programs.setdefault(name, text)
        for item in wheel.files:
            fill = partial(wheel.copy, item, interpreter=interpreter)
            if installed.place(item.path, file):
                digest = into.file(item.path, item.executable, fill)
            else:
                digest = fill(len)
                if item.executable:
                    into.make_executable(item.path)
            installed.add(item.path, file, digest, item.size)
    for name, text in sorted(programs.items()):
        program = f"{PROGRAMS}/{name}"
        if installed.place(program, "an entry point"):
            into.file(program, True, partial(_written, text))
            installed.add(program, "an entry point", text, len(text))


def _written(text: bytes, write: Write) -> bytes:
    write(text)
    return text


def _digest(descriptor: int, info: tarfile.TarInfo) -> str:
    state = hashlib.sha256()
    at, end = info.offset_data, info.offset_data + info.size
    while at < end and (data := os.pread(descriptor, min(_CHUNK, end - at), at)):
        state.update(data)
        at += len(data)
    return state.hexdigest()


def _opened(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, mode="r:")
    except (tarfile.TarError, EOFError) as error:
        raise BundleError(f"{path.name} is not a bundle: {error}.", hint="Make it with `bundle`.") from error


def _members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    found = []
    try:
        for info in archive:
            if not info.isreg() or info.issparse():
                raise BundleError(f"Bundle member {info.name[:80]!r} is not a file.")
            found.append(info)
            if len(found) > MAX_WHEELS + 1:
                raise BundleError(f"The bundle has more than {MAX_WHEELS} wheels.")
    except (tarfile.TarError, EOFError) as error:
        raise BundleError(f"The bundle is damaged: {error}.", hint="Make it again with `bundle`.") from error
    if not found:
        raise BundleError("The bundle is empty.", hint="Make it again with `bundle`.")
    return found


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    source = archive.extractfile(info)
    if source is None or info.size > MAX_REQUIREMENTS:
        raise BundleError(f"{info.name} in the bundle is larger than {MAX_REQUIREMENTS} bytes.")
    with source:
        return source.read()
