"""The contents of a wheel: what it installs, and which shared libraries it needs and brings.

A wheel is inspected once: every file is unpacked and compared with RECORD. What was found is kept beside the wheel, in
a folder that is named by its digest, and is used if the wheel still has that digest.
"""

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.client.packages.wheels import Wheel
from cloister.protocol import elf, guest
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.wheel import OpenWheel, WheelFile

_FORM = 2
_CHUNK = 1024 * 1024
_KEPT = "inspection.json"
_WINDOW = 4 * 1024 * 1024
_LARGEST_KEPT = 256 * 1024 * 1024


@dataclass(frozen=True)
class InstalledFile:
    """A file of a wheel: path in the folder of packages, bytes, SHA-256 of the content in hex."""

    path: str
    size: int
    digest_hex: str


@dataclass(frozen=True)
class Inspection:
    """The findings about a wheel. ``needs`` has for each library the first file that needs it."""

    files: tuple[InstalledFile, ...]
    programs: tuple[str, ...]
    needs: dict[str, str]
    checksum: int
    """CRC-32 of the wheel when its SHA-256 was verified: it finds a damaged file sooner than a second hash."""
    libraries: frozenset[str]
    """Names under which other files find a library of this wheel."""


def inspect_wheels(wheels: Sequence[Wheel]) -> list[Inspection]:
    """Inspect wheels, several at a time. Raises BundleError for one that the guest would not install."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # unpacking and hashing run in parallel
        return list(pool.map(inspect_wheel, wheels))


def inspect_wheel(wheel: Wheel) -> Inspection:
    """Inspect a wheel, or read what an earlier inspection found. Raises BundleError."""
    kept = wheel.path.with_name(_KEPT)
    if (found := _read(kept)) is not None:
        return found
    checksum = _verify(wheel)
    if checksum is None:
        wheel.path.unlink()
        raise BundleError(f"{wheel.path.name} in the cache was changed.", hint="Run the command again.")
    with wheel.path.open("rb") as file:
        found = _inspect(OpenWheel(file, wheel.path.name), checksum)
    with contextlib.suppress(userfile.FileError):  # a full disk; the next run inspects again
        _write(kept, found)
    return found


def _verify(wheel: Wheel) -> int | None:
    """The CRC-32 of a wheel that has its SHA-256; None if it does not have it."""
    state, checksum = hashlib.sha256(), 0
    with wheel.path.open("rb") as file:
        while data := file.read(_CHUNK):
            state.update(data)
            checksum = zlib.crc32(data, checksum)
    return checksum if state.hexdigest() == wheel.digest_hex else None


def _inspect(wheel: OpenWheel, checksum: int) -> Inspection:
    files, needs, libraries = [], dict[str, str](), set[str]()
    for item in wheel.files:
        window = _Window()
        digest = wheel.copy(item, window.write, guest.INTERPRETER)
        files.append(InstalledFile(item.path, item.size, digest.hex()))
        name = item.path.rpartition("/")[2]
        if ".so" in name:
            libraries.add(name)
        if window.is_elf:
            found = _dynamic(wheel, item, window)
            if found is not None:
                for library in found.needed:
                    needs.setdefault(library, item.path)
                if found.soname:
                    libraries.add(found.soname)
    programs = tuple(sorted(wheel.programs(guest.INTERPRETER)))
    return Inspection(tuple(files), programs, needs, checksum, frozenset(libraries))


class _Window:
    """The beginning and the end of a file that is written in order; nothing of a file that is not ELF."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0
        self.is_elf = True

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._size == 0:
            self.is_elf = data.startswith(elf.MAGIC)
        self._size += len(data)
        if not self.is_elf:
            return
        room = _WINDOW - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * _WINDOW:
            del self._tail[:-_WINDOW]

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file; LookupError if they were not kept."""
        end = min(offset + size, self._size)
        tail = self._size - len(self._tail)
        if end <= len(self._head):
            return bytes(self._head[offset:end])
        if offset >= tail:
            return bytes(self._tail[offset - tail : end - tail])
        if tail == len(self._head):
            return bytes(self._head[offset:] + self._tail[: end - tail])
        raise LookupError(offset)


def _dynamic(wheel: OpenWheel, item: WheelFile, window: _Window) -> elf.Dynamic | None:
    """What a library says; None for a file that only begins like one."""
    try:
        return elf.dynamic(window.read)
    except elf.ElfError:
        return None
    except LookupError:
        with wheel.read(item) as data:

            def read(offset: int, size: int) -> bytes:
                data.seek(offset)
                return data.read(size)

            try:
                return elf.dynamic(read)
            except elf.ElfError:
                return None


def _read(path: Path) -> Inspection | None:
    try:
        if path.stat().st_size > _LARGEST_KEPT:
            return None
        value = json.loads(path.read_bytes())
        if value["form"] != _FORM:
            return None
        return Inspection(
            tuple(InstalledFile(str(one), int(size), str(digest)) for one, size, digest in value["files"]),
            tuple(value["programs"]),
            dict(value["needs"]),
            int(value["checksum"]),
            frozenset(value["libraries"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write(path: Path, found: Inspection) -> None:
    value = {
        "form": _FORM,
        "files": [[one.path, one.size, one.digest_hex] for one in found.files],
        "programs": found.programs,
        "needs": found.needs,
        "checksum": found.checksum,
        "libraries": sorted(found.libraries),
    }
    userfile.write_file(path, json.dumps(value).encode())
