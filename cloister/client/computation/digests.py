"""Digests that were computed before, for files and folders that have not changed since.

``$XDG_CACHE_HOME/cloister/digests`` has the last ones, without names. A digest is found again by device, inode, size
and the times of the last change of contents and status, in nanoseconds; for a folder, by those of all its files. It is
kept only if these times were more than two seconds old before the file was read (a later change could have had the same
time), the same afterwards, and the file is on a disk of this machine: over a network or FUSE, times are what the other
end says. All this finds accidents. A program that has the file mapped into its memory can change it without a change of
its times, so what is sent under a digest from here is hashed again meanwhile (``asset_upload.py``), and by the agent.

A damaged file of digests, and one that others may write or read, is ignored: it may cost time, never give another
digest.
"""

import contextlib
import hashlib
import os
import stat
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cloister import usercache, userfile
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError
from cloister.protocol.foldertar import FolderTar

_SETTLED = 2_000_000_000
_MOST = 1024
_LIMIT = 4 * 1024 * 1024
_MAX_LEFTOVERS = 2048
_PROC = Path("/proc/self")
_LOCAL = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
_WHAT = "The file of digests"


@dataclass(frozen=True)
class Digest:
    """What reading an asset showed. ``examined`` says whether it was read as an archive, too, if it is one."""

    digest: str
    size: int
    examined: bool
    unpacked_size: int | None = None
    in_memory: int = 0
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """A file or folder as it was found.

    ``key`` changes with it, ``newest`` is the latest of its times in nanoseconds, ``local`` says whether all of it is
    on file systems of this machine.
    """

    key: str
    newest: int
    local: bool

    @classmethod
    def of_file(cls, descriptor: int) -> "Identity":
        """An open file. Raises OSError."""
        status = os.fstat(descriptor)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        place = (status.st_dev, status.st_ino, status.st_size)
        text = ":".join(str(part) for part in ("file", *place, *times))
        return cls(text, max(times), _is_local(descriptor))

    @classmethod
    def of_folder(cls, folder: Path, tar: FolderTar) -> "Identity":
        """A folder by all its files; what is mounted inside it is not called local. Raises OSError."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            local = tar.devices <= {os.fstat(descriptor).st_dev} and _is_local(descriptor)
        finally:
            os.close(descriptor)
        return cls(f"folder:{tar.identity.hex()}", tar.newest, local)

    def settled(self, now: int) -> bool:
        """Whether a change from now on would show."""
        return self.local and self.newest + _SETTLED < now


class DigestCache:
    """The digests of one user. Several processes may use it at once: the file appears whole or not at all."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    def find(self, identity: Identity, *, examined: bool) -> Digest | None:
        """The digest of an unchanged asset; with ``examined`` only if it was read as an archive."""
        found = self._load().get(identity.key)
        return found if found is not None and (found.examined or not examined) else None

    def keep(self, identity: Identity, digest: Digest, *, began: int) -> None:
        """Keep the digest of what was the same before and after reading, which ``began`` at that time (nanoseconds).

        On a full or read-only disk nothing is kept, without an error.
        """
        if not identity.settled(began):
            return
        if sum(len(path) for path in digest.leftovers) > _MAX_LEFTOVERS:
            return
        kept = self._load()
        if (known := kept.pop(identity.key, None)) is not None and known.examined and not digest.examined:
            digest = known
        kept[identity.key] = digest
        self._write(kept)

    def forget(self, identity: Identity) -> None:
        """Remove a digest."""
        kept = self._load()
        if kept.pop(identity.key, None) is not None:
            self._write(kept)

    def _load(self) -> dict[str, Digest]:
        try:
            status = self.path.stat()
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                return {}
            return _parse(userfile.read(self.path, _LIMIT))
        except (OSError, FormatError):
            return {}

    def _write(self, kept: dict[str, Digest]) -> None:
        body = _encode(dict(list(kept.items())[-_MOST:]))
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        with contextlib.suppress(OSError):
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                part.unlink(missing_ok=True)
                userfile.write_new(part, body, 0o600)
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)


def default_path() -> Path:
    """``digests`` in the user's cache."""
    return usercache.root() / "digests"


def now() -> int:
    """The time before something is read, nanoseconds."""
    return time.time_ns()


def _is_local(descriptor: int) -> bool:
    """Whether an open file is on a disk of this machine or in its memory; false when that is unknown."""
    try:
        about = (_PROC / "fdinfo" / str(descriptor)).read_text(encoding="utf-8")
        mounts = (_PROC / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    numbers = [line.split()[1] for line in about.splitlines() if line.startswith("mnt_id:")]
    return any(file_system(mounts, number) in _LOCAL for number in numbers)


def file_system(mounts: str, number: str) -> str:
    """The type of the file system of the mount with this number; empty for an unknown one.

    ``mounts`` is /proc/self/mountinfo (proc(5)).
    """
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ", 1)[0] == number:
            return after.split(" ", 1)[0]
    return ""


def _encode(kept: dict[str, Digest]) -> bytes:
    """The digest of the rest and a newline, then canonical JSON."""
    entries = [{"key": key, **asdict(found), "leftovers": list(found.leftovers)} for key, found in kept.items()]
    body = canonical.encode({"version": 1, "software": version("cloister"), "entries": entries})
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _parse(data: bytes) -> dict[str, Digest]:
    """Raises FormatError for anything that :func:`_encode` did not write in this version of Cloister."""
    digest, _, body = data.partition(b"\n")
    if len(data) > _LIMIT or digest != hashlib.sha256(body).hexdigest().encode():
        raise FormatError(f"{_WHAT} was truncated or changed.")
    value = canonical.parse_canonical(body, what=_WHAT, limit=_LIMIT)
    try:
        if value["version"] != 1 or value["software"] != version("cloister"):
            raise FormatError(f"{_WHAT} is of another version.")  # an archive may be read by other rules now
        return dict(map(_entry, value["entries"]))
    except (KeyError, TypeError) as error:
        raise FormatError(f"{_WHAT} lacks a member.") from error


def _entry(value: dict[str, Any]) -> tuple[str, Digest]:
    leftovers = tuple(str(path) for path in value["leftovers"])
    canonical.from_hex(value["digest"], what=_WHAT)
    found = Digest(
        value["digest"], value["size"], value["examined"], value["unpacked_size"], value["in_memory"], leftovers
    )
    return str(value["key"]), found
