"""Turns the files of a run into one encrypted slot per consumer, whose key is released once."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from agent_runtime.errors import AgentError, CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.runner.result_tree import PREFIX
from cloister.protocol import archive, names, slot

_CHUNK = 1024 * 1024
OVERHEAD = 8 * 1024 * 1024
"""Upper bound of the bytes that receipt, evidence, events and zip headers add to a result."""


@dataclass(frozen=True)
class ResultFile:
    """A file of the result. ``name`` is its path below ``results/``; ``digest`` is SHA-256."""

    name: str
    path: Path
    digest: bytes
    size: int


def collect_files(folder: Path, *, max_size: int, limits: Limits) -> list[ResultFile]:
    """The files of a run. Raises AgentError for anything but regular files, or for too many or too large ones.

    The runner has checked the same, but the agent does not rely on it. No link is followed.
    """
    found: list[ResultFile] = []
    left, names_left = max_size, limits.result_names
    for place, folders, files, descriptor in os.fwalk(folder, onerror=_raise, follow_symlinks=False):
        inside = Path(place).relative_to(folder)
        if len(inside.parts) >= names.MAX_DEPTH:
            raise AgentError("The result's folders are nested too deeply.")
        if any(stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode) for name in folders):
            raise AgentError("The result contains a link.")
        for name in files:
            if len(found) >= limits.result_files:
                raise AgentError("The result has too many files.")
            relative = (inside / name).as_posix()
            names_left -= len(os.fsencode(relative))
            if names_left < 0:
                raise AgentError("The names in the result are too long.")
            archive.check_name(PREFIX + relative)
            if names.in_proof_folder(relative):
                raise AgentError("A file of the result lies where the proof will be.")
            digest, size = _read(name, descriptor, left)
            left -= size
            found.append(ResultFile(relative, Path(place) / name, digest, size))
    archive.check_members([file.name for file in found])
    return sorted(found, key=lambda file: file.name)


def _raise(error: OSError) -> NoReturn:
    """Without this, os.fwalk silently omits a folder that cannot be read."""
    raise error


def _read(name: str, folder: int, limit: int) -> tuple[bytes, int]:
    entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(entry, "rb", buffering=0) as source:
        if not stat.S_ISREG(os.fstat(entry).st_mode):
            raise AgentError("The result contains something that is not a regular file.")
        state, size = hashlib.sha256(), 0
        while data := source.read(_CHUNK):
            state.update(data)
            size += len(data)
            if size > limit:
                raise AgentError("The result is larger than the manifest allows.")
    return state.digest(), size


@dataclass
class ResultSlot:
    """One consumer's encrypted copy of the result."""

    consumer: str
    """The party's name in the manifest."""

    path: Path
    """The file of the ciphertext; deleted with the key's release."""

    size: int
    """Bytes of the ciphertext."""

    digest: bytes
    """SHA-256 of the ciphertext."""

    key: bytes | None
    """The key, in memory only. None once it was released or deleted."""

    consumed_at: str = ""
    """Time of the release, in the format of events. Empty before."""


@dataclass
class ResultSlots:
    """All slots of a computation, as files in ``folder``. After :meth:`wipe` none is made any more."""

    folder: Path
    _wiped: bool = False
    _slots: dict[str, ResultSlot] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fill(self, consumers: tuple[str, ...], members: Mapping[str, Path | bytes]) -> None:
        """Zip ``members`` and encrypt the zip once per consumer. The plain zip is deleted.

        Raises OSError, also when the slots are wiped meanwhile; then nothing of them is left.
        """
        plain = self.folder / "plain.zip"
        try:
            with self._unless_wiped():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._file(plain) as out:
                archive.write_zip(out, members.items())
            for index, consumer in enumerate(consumers):
                target = self.folder / f"slot-{index}"
                with plain.open("rb") as source, self._file(target) as out:
                    made = _encrypt(consumer, source, plain.stat().st_size, out, target)
                with self._unless_wiped():
                    self._slots[consumer] = made
            with self._unless_wiped():
                plain.unlink()
        except BaseException:
            self.wipe()
            raise

    def _file(self, path: Path) -> BufferedWriter:
        """A new file, which cannot be written after :meth:`wipe`."""
        with self._unless_wiped():
            return BufferedWriter(_SlotFile(path, self._check_not_wiped))

    @contextlib.contextmanager
    def _unless_wiped(self) -> Generator[None]:
        """Keep :meth:`wipe` waiting. Raises OSError when all was wiped."""
        with self._lock:
            self._check_not_wiped()
            yield

    def _check_not_wiped(self) -> None:
        if self._wiped:
            raise OSError(errno.ENOENT, "the slots were wiped")

    def all(self) -> list[ResultSlot]:
        """The slots, in the manifest's order."""
        return list(self._slots.values())

    def read(self, consumer: str, offset: int) -> Iterator[bytes]:
        """The slot's ciphertext from ``offset``. Raises CallRefusal CONSUMED or MALFORMED."""
        # The lock: a release or the end of the computation deletes the file.
        with self._lock:
            found = self._open(consumer)
            if offset > found.size:
                most = f"{found.size} (the size)"
                raise CallRefusal(Reason.MALFORMED, f"The offset must be at most {most}, not {offset}.")
            return _pieces(found.path.open("rb", buffering=0), offset)

    def size(self, consumer: str) -> int:
        """Bytes of the slot's ciphertext. Raises CallRefusal CONSUMED."""
        return self._open(consumer).size

    def check_digest(self, consumer: str, digest: bytes) -> None:
        """Raises CallRefusal CONSUMED, or DIGEST_OF_CIPHERTEXT when ``digest`` is not the ciphertext's."""
        found = self._open(consumer)
        if not secrets.compare_digest(digest, found.digest):
            raise CallRefusal(
                Reason.DIGEST_OF_CIPHERTEXT,
                "The digest differs from the ciphertext's, so the key was not released. Fetch the result again.",
                found=digest[:32].hex(),
            )

    def release(self, consumer: str, when: str) -> bytes:
        """Return the slot's key, and delete key and ciphertext here. Raises CallRefusal CONSUMED."""
        with self._lock:
            found = self._open(consumer)
            key, found.key, found.consumed_at = found.key, None, when
            found.path.unlink(missing_ok=True)
        if key is None:
            raise _consumed(found)
        return key

    def consumed_at(self, consumer: str) -> str:
        """Return when the slot's key was released; empty if it was not."""
        found = self._slots.get(consumer)
        return found.consumed_at if found else ""

    def all_released(self) -> bool:
        """Return whether every consumer has received its key."""
        return all(found.key is None for found in self._slots.values())

    def wipe(self) -> None:
        """Delete all slots, also what is being made. Raises OSError when a file remains; the keys are deleted first."""
        with self._lock:
            self._wiped = True
            for found in self._slots.values():
                found.key = None
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def _open(self, consumer: str) -> ResultSlot:
        found = self._slots[consumer]
        if found.key is None:
            raise _consumed(found)
        return found


class _SlotFile(FileIO):
    """A new file that calls ``check`` before each write."""

    def __init__(self, path: Path, check: Callable[[], None]) -> None:
        super().__init__(path, "x")
        self._check = check

    def write(self, data: Any, /) -> int:
        self._check()
        return super().write(data)


def _pieces(file: FileIO, offset: int) -> Iterator[bytes]:
    with file:
        file.seek(offset)
        while data := file.read(_CHUNK):
            yield data


def _consumed(found: ResultSlot) -> CallRefusal:
    return CallRefusal(
        Reason.CONSUMED,
        f"The result for {found.consumer} was consumed at {found.consumed_at}. Its key is released only once.",
        consumed_at=found.consumed_at,
    )


def _encrypt(consumer: str, plain: BinaryIO, length: int, out: BinaryIO, target: Path) -> ResultSlot:
    key, state, size = secrets.token_bytes(32), hashlib.sha256(), 0
    for data in slot.encrypt(key, plain, length):
        state.update(data)
        size += len(data)
        out.write(data)
    return ResultSlot(consumer, target, size, state.digest(), key)
