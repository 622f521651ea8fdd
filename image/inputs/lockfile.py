"""The lock: the exact bytes that go into an image (or make up the host tools), by name, version and digest.

``image/locks/<name>.json`` is committed and reads well in a diff; its digest is the ``sha256sum`` of the file.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from image.errors import ImageError

FOLDER = Path(__file__).parents[1] / "locks"
RELOCKED = Path(__file__).parents[2] / "out" / "locks"
"""Where --relock puts what it writes, unless CLOISTER_LOCKS names another folder."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class LockError(ImageError):
    """A lock is absent or is not what this program writes."""

    remedy = "Restore the lock from version control, or write a new one: invoke image.lock"


@dataclass(frozen=True)
class LockedArchive:
    """One suite of one archive, ``debian`` or ``debian-security``, and when its index was made (UTC)."""

    archive: str
    suite: str
    date: str

    def time(self) -> datetime:
        return datetime.strptime(self.date, _TIME).replace(tzinfo=UTC)

    @staticmethod
    def write_time(moment: datetime) -> str:
        return moment.astimezone(UTC).strftime(_TIME)


@dataclass(frozen=True)
class LockedPackage:
    """One .deb: where it lies in which archive, its digest and size in bytes, and the maintainer scripts not run.

    ``scripts`` maps preinst, config and postinst to the SHA-256 of the script.
    """

    name: str
    version: str
    architecture: str
    archive: str
    path: str
    sha256: str
    size: int
    scripts: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class LockedWheel:
    """One Python wheel for the guest's interpreter, with its digest and size in bytes."""

    name: str
    version: str
    file: str
    sha256: str
    size: int

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Lock:
    """All inputs of one flavor, sorted by name. ``request`` is the digest of what the recipe asked for."""

    flavor: str
    suite: str
    request: str
    archives: tuple[LockedArchive, ...]
    packages: tuple[LockedPackage, ...]
    wheels: tuple[LockedWheel, ...]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises LockError unless ``content`` is exactly what ``encode`` writes."""
        try:
            value = json.loads(content)
            if not isinstance(value, dict) or value.pop("version", None) != 1:
                raise LockError("The lock is not of version 1.")
            lists: dict[str, Any] = {
                key: tuple(_strict(kind, entry) for entry in value.pop(key))
                for key, kind in (("archives", LockedArchive), ("packages", LockedPackage), ("wheels", LockedWheel))
            }
            lock = cls(**value, **lists)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LockError(f"The lock cannot be read: {error}.") from error
        for entry in (*lock.packages, *lock.wheels):
            if not _DIGEST.fullmatch(entry.sha256) or not isinstance(entry.size, int) or entry.size <= 0:
                raise LockError(f"The lock's entry for {entry.name} has no usable digest or size.")
        if lock.encode() != content:
            raise LockError("The lock was edited by hand: it is not in the form that `invoke image.lock` writes.")
        return lock

    def encode(self) -> bytes:
        """The bytes of the file: JSON, indented, one final newline."""
        return (json.dumps({"version": 1} | asdict(self), indent=1, ensure_ascii=False) + "\n").encode()

    def digest(self) -> str:
        """SHA-256 of the file, lower-case hex."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes to fetch when nothing is cached."""
        return sum(entry.size for entry in (*self.packages, *self.wheels))

    def package(self, name: str) -> LockedPackage:
        for package in self.packages:
            if package.name == name:
                return package
        raise LockError(f"The lock of flavor {self.flavor} has no package {name}.")


def _strict(kind: type[Any], entry: object) -> object:
    known = {item.name for item in fields(kind)}
    if not isinstance(entry, dict):
        raise LockError(f"The lock has an entry that is no object: {entry!r}.")
    unknown = sorted(set(entry) - known)
    if unknown:
        raise LockError(f"The lock has an entry with an unknown key: {unknown[0]}.")
    return kind(**entry)


def stand_ins() -> Path | None:
    """The folder of ``CLOISTER_LOCKS``, whose locks stand in for the committed ones; ``--relock`` writes there."""
    named = os.environ.get("CLOISTER_LOCKS", "")
    folder = Path(named).absolute()
    return folder if named and folder.resolve() != FOLDER.resolve() else None


def stand_in(name: str) -> Lock | None:
    """The lock in ``stand_ins`` that stands in for the committed lock ``name``.

    None when there is none, or when it has had its day: the committed one asks for something else or is newer.
    """
    folder = stand_ins()
    if folder is None or not (folder / f"{name}.json").is_file():
        return None
    found, committed = load(name, folder), load(name, FOLDER)
    dates = {archive.archive: archive.date for archive in found.archives}
    newer = all(dates.get(archive.archive, "") >= archive.date for archive in committed.archives)
    return found if newer and found.request == committed.request else None


def load(name: str, folder: Path | None = None) -> Lock:
    """The lock ``name`` (a flavor's, or ``tools``) in ``folder``; without one, the committed lock or its stand-in."""
    if folder is None:
        return stand_in(name) or load(name, FOLDER)
    path = folder / f"{name}.json"
    if not path.is_file():
        raise LockError(f"There is no lock {path}.", hint=f"Write it with `invoke image.lock --flavor {name}`.")
    return Lock.parse(path.read_bytes())
