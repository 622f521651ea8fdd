"""Results: from the folder that a run left to one encrypted slot per consumer, whose key goes out once."""

import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from agent_runtime.errors import AgentError, Reason, Refusal
from agent_runtime.limits import Limits
from cloister.protocol import archive, slot

_CHUNK = 1024 * 1024
PREFIX = "results/"
OVERHEAD = 8 * 1024 * 1024
"""Bytes that receipt, evidence, events and zip headers may add to a result (the limits of each keep it below)."""


@dataclass(frozen=True)
class ResultFile:
    """A file of the result. ``name`` begins with ``results/``; ``digest`` is SHA-256."""

    name: str
    path: Path
    digest: bytes
    size: int


def collect_files(folder: Path, *, max_size: int, limits: Limits) -> list[ResultFile]:
    """The files that a run left. Raises AgentError for anything but plain files, or for too much of them.

    The runner has checked the same; here it is not believed. No link is followed.
    """
    found: list[ResultFile] = []
    left, names = max_size, limits.result_names
    for place, folders, files, descriptor in os.fwalk(folder, onerror=_raise, follow_symlinks=False):
        inside = Path(place).relative_to(folder)
        if len(inside.parts) > limits.result_depth:
            raise AgentError("The result's folders are nested too deep.")
        if any(stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode) for name in folders):
            raise AgentError("The result holds a link.")
        for name in files:
            if len(found) >= limits.result_files:
                raise AgentError("The result has too many files.")
            relative = (inside / name).as_posix()
            names -= len(os.fsencode(relative))
            if names < 0:
                raise AgentError("The names in the result are too long.")
            for path in (relative, PREFIX + relative):
                archive.check_name(path)
            digest, size = _read(name, descriptor, left)
            left -= size
            found.append(ResultFile(PREFIX + relative, Path(place) / name, digest, size))
    return sorted(found, key=lambda file: file.name)


def _raise(error: OSError) -> NoReturn:
    """A folder that cannot be read would be left out of the result without a word."""
    raise error


def _read(name: str, folder: int, limit: int) -> tuple[bytes, int]:
    entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(entry, "rb", buffering=0) as source:
        if not stat.S_ISREG(os.fstat(entry).st_mode):
            raise AgentError("The result holds something that is no file.")
        state, size = hashlib.sha256(), 0
        while data := source.read(_CHUNK):
            state.update(data)
            size += len(data)
            if size > limit:
                raise AgentError("The result is larger than the manifest allows.")
    return state.digest(), size


@dataclass
class ResultSlot:
    """One consumer's copy: ciphertext in a file, key in memory until it goes out. Times as in events."""

    consumer: str
    path: Path
    size: int
    digest: bytes
    key: bytes | None
    consumed_at: str = ""


@dataclass
class ResultSlots:
    """All slots of a computation, below ``folder``."""

    folder: Path
    _slots: dict[str, ResultSlot] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fill(self, consumers: tuple[str, ...], members: Mapping[str, Path | bytes]) -> None:
        """Make the zip of ``members`` and from it a slot for each consumer; the zip itself is gone afterwards."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain = self.folder / "plain.zip"
        try:
            with plain.open("xb") as out:
                archive.write_zip(out, members.items())
            for index, consumer in enumerate(consumers):
                made = _encrypt(consumer, plain, self.folder / f"slot-{index}")
                # Somebody may stop the computation meanwhile, and wipe what there is.
                with self._lock:
                    self._slots[consumer] = made
        finally:
            plain.unlink(missing_ok=True)

    def all(self) -> list[ResultSlot]:
        """The slots in the manifest's order."""
        return list(self._slots.values())

    def read(self, consumer: str, offset: int) -> Iterator[bytes]:
        """The slot's ciphertext from ``offset``. Raises Refusal CONSUMED or MALFORMED."""
        found = self._open(consumer)
        if offset > found.size:
            raise Refusal(Reason.MALFORMED, f"The result has {found.size} bytes; byte {offset} lies behind its end.")
        with found.path.open("rb") as source:
            source.seek(offset)
            while data := source.read(_CHUNK):
                yield data

    def size(self, consumer: str) -> int:
        """Bytes of the slot's ciphertext. Raises Refusal CONSUMED."""
        return self._open(consumer).size

    def check_digest(self, consumer: str, digest: bytes) -> None:
        """Raises Refusal CONSUMED, or DIGEST_OF_CIPHERTEXT when ``digest`` is not of the slot's ciphertext."""
        found = self._open(consumer)
        if not secrets.compare_digest(digest, found.digest):
            raise Refusal(
                Reason.DIGEST_OF_CIPHERTEXT,
                "What arrived is not the ciphertext of this result; nothing was released. Fetch it again.",
                found=digest[:32].hex(),
            )

    def release(self, consumer: str, when: str) -> bytes:
        """The slot's key; the slot keeps neither key nor ciphertext. Raises Refusal CONSUMED."""
        with self._lock:
            found = self._open(consumer)
            key, found.key, found.consumed_at = found.key, None, when
        found.path.unlink(missing_ok=True)
        if key is None:
            raise _consumed(found)
        return key

    def consumed_at(self, consumer: str) -> str:
        """When the slot's key went out, or nothing."""
        found = self._slots.get(consumer)
        return found.consumed_at if found else ""

    def all_released(self) -> bool:
        """Whether every consumer has its key."""
        return all(found.key is None for found in self._slots.values())

    def wipe(self) -> None:
        """Forget what nobody took. Raises OSError when ciphertext is left; the keys are gone in any case."""
        with self._lock:
            for found in self._slots.values():
                found.key = None
            for found in self._slots.values():
                found.path.unlink(missing_ok=True)

    def _open(self, consumer: str) -> ResultSlot:
        found = self._slots[consumer]
        if found.key is None:
            raise _consumed(found)
        return found


def _consumed(found: ResultSlot) -> Refusal:
    return Refusal(
        Reason.CONSUMED,
        f"The result for {found.consumer} was consumed at {found.consumed_at}; its key goes out once.",
        consumed_at=found.consumed_at,
    )


def _encrypt(consumer: str, plain: Path, target: Path) -> ResultSlot:
    key, state, size = secrets.token_bytes(32), hashlib.sha256(), 0
    with plain.open("rb") as source, target.open("xb") as out:
        for data in slot.encrypt(key, source, plain.stat().st_size):
            state.update(data)
            size += len(data)
            out.write(data)
    return ResultSlot(consumer, target, size, state.digest(), key)
