"""The lock: the exact bytes of an image's inputs, or of the host tools, by name, version and digest.

``image/locks/<name>.json`` is committed; the lock of someone's own recipe is beside that recipe. A lock's digest is the
``sha256sum`` of the file.
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
"""Where --relock writes new locks, unless CLOISTER_LOCKS names another folder."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class LockError(ImageError):
    """A lock is missing, invalid or for another recipe."""

    remedy = "Restore the lock from version control, or write a new one: invoke image.lock"


@dataclass(frozen=True)
class LockPlace:
    """Where the lock of a recipe, or of the host tools, is kept, and its name."""

    name: str
    path: Path

    @classmethod
    def committed(cls, name: str) -> Self:
        """The place of one of the project's locks."""
        return cls(name, FOLDER / f"{name}.json")

    @property
    def spoken(self) -> str:
        """For messages about a lock that overrides this one."""
        return "the committed lock" if self.path.parent == FOLDER else f"the lock {self.path.name}"


@dataclass(frozen=True)
class LockedArchive:
    """A suite of an archive (``debian`` or ``debian-security``) and the date of its index (UTC)."""

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
    """One .deb.

    name, version, architecture: as in the package index.
    archive: ``debian`` or ``debian-security``.
    path: relative to the archive's base address.
    sha256, size: of the file, in lower-case hex and bytes.
    scripts: the maintainer scripts that are not run: preinst, config or postinst -> SHA-256; may be empty.
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
    """A Python wheel for the guest's interpreter, with its file name, digest and size in bytes."""

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
    """All inputs of a flavor, or the host tools.

    flavor: the lock's name: that of a flavor, or ``tools``.
    suite: of Debian, such as ``trixie``.
    request: digest of what the recipe asked for (``LockRequest.digest``).
    archives: the indexes that the packages were resolved from.
    packages, wheels, agent_wheels: sorted by name; wheels may be empty.
    """

    flavor: str
    suite: str
    request: str
    archives: tuple[LockedArchive, ...]
    packages: tuple[LockedPackage, ...]
    wheels: tuple[LockedWheel, ...]
    agent_wheels: tuple[LockedWheel, ...]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises LockError unless ``content`` is exactly what ``encode`` writes."""
        try:
            value = json.loads(content)
            if not isinstance(value, dict) or value.pop("version", None) != 1:
                raise LockError("Unsupported lock: 'version' must be 1.")
            lists: dict[str, Any] = {
                key: tuple(_strict(kind, entry) for entry in value.pop(key)) for key, kind in _LISTS.items()
            }
            lock = cls(**_texts(cls, value), **lists)
            edited = lock.encode() != content
            for archive in lock.archives:
                archive.time()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LockError(f"Invalid lock: {error}.") from error
        if not lock.archives:
            raise LockError("Invalid lock: it names no index.")
        for entries in (lock.packages, lock.wheels, lock.agent_wheels):
            if len({entry.name for entry in entries}) != len(entries):
                raise LockError("Invalid lock: it has a name twice, of which a comparison would show one.")
        for entry in lock.entries:
            if not _DIGEST.fullmatch(entry.sha256) or not isinstance(entry.size, int) or entry.size <= 0:
                raise LockError(f"Invalid lock: the entry for {entry.name} has an invalid digest or size.")
        if edited:
            raise LockError("The lock was edited by hand: it differs from what `invoke image.lock` writes.")
        return lock

    def encode(self) -> bytes:
        """The bytes of the file: indented JSON with a final newline."""
        return (json.dumps({"version": 1} | asdict(self), indent=1, ensure_ascii=False) + "\n").encode()

    def digest(self) -> str:
        """SHA-256 of the file, lower-case hex."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes to fetch when the cache is empty."""
        return sum(entry.size for entry in self.entries)

    @property
    def entries(self) -> tuple[LockedPackage | LockedWheel, ...]:
        """All that is fetched."""
        return (*self.packages, *self.wheels, *self.agent_wheels)

    def package(self, name: str) -> LockedPackage:
        for package in self.packages:
            if package.name == name:
                return package
        raise LockError(f"The lock of flavor {self.flavor} has no package {name}.")


_LISTS = {"archives": LockedArchive, "packages": LockedPackage, "wheels": LockedWheel, "agent_wheels": LockedWheel}


def _strict(kind: type[Any], entry: object) -> object:
    known = {item.name for item in fields(kind)}
    if not isinstance(entry, dict):
        raise LockError(f"Invalid lock: expected an object, found {entry!r}.")
    unknown = sorted(set(entry) - known)
    if unknown:
        raise LockError(f"Invalid lock: unknown key {unknown[0]!r}.")
    scripts = entry.get("scripts", {})
    if not isinstance(scripts, dict) or not all(isinstance(digest, str) for digest in scripts.values()):
        raise LockError("Invalid lock: scripts must be digests by name.")
    return kind(**_texts(kind, entry))


def _texts(kind: type[Any], entry: dict[str, Any]) -> dict[str, Any]:
    """``entry``, whose fields that are texts are texts. Raises LockError."""
    for item in fields(kind):
        if item.type is str and not isinstance(entry.get(item.name, ""), str):
            raise LockError(f"Invalid lock: {item.name} must be a text, not {entry[item.name]!r}.")
    return entry


def override_folder() -> Path | None:
    """The folder that ``CLOISTER_LOCKS`` names; its locks override the committed ones. None if not set."""
    named = os.environ.get("CLOISTER_LOCKS", "")
    folder = Path(named).absolute()
    return folder if named and folder.resolve() != FOLDER.resolve() else None


def override(place: LockPlace) -> Lock | None:
    """The lock in ``override_folder`` that overrides the one at ``place``.

    None if it does not exist or is stale: the other lock is for another recipe or has newer indexes.
    """
    folder = override_folder()
    if folder is None or not (folder / f"{place.name}.json").is_file():
        return None
    found, kept = load(place.name, folder), read(place)
    dates = {archive.archive: archive.date for archive in found.archives}
    newer = all(dates.get(archive.archive, "") >= archive.date for archive in kept.archives)
    return found if newer and found.request == kept.request else None


def load(lock: str | LockPlace, folder: Path | None = None) -> Lock:
    """One of the project's locks by name, or the lock at a place; or its override.

    With ``folder``, the lock of that name in it.
    """
    name = lock if isinstance(lock, str) else lock.name
    if folder is not None:
        return read(LockPlace(name, folder / f"{name}.json"))
    place = LockPlace.committed(lock) if isinstance(lock, str) else lock
    return override(place) or read(place)


def read(place: LockPlace) -> Lock:
    """The lock at ``place``. Raises LockError."""
    if not place.path.is_file():
        option = f"--flavor {place.name}" if place.path.parent == FOLDER else f"--recipe {place.name}.toml"
        raise LockError(f"The lock {place.path} does not exist.", hint=f"Create it with `invoke image.lock {option}`.")
    return Lock.parse(place.path.read_bytes())
