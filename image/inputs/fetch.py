"""Bring the files of a lock into the cache: from a tar of vendored inputs, or from the mirror and snapshot archive."""

import os
import tarfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from cloister import userfile
from cloister.errors import InputError
from image import cache, disk_space
from image.debian.mirror import Mirror
from image.inputs.lockfile import Lock, LockedPackage, LockedWheel
from image.inputs.transfer import Download, FetchError, download_all, keep

LockEntry: TypeAlias = LockedPackage | LockedWheel


class SupersededError(FetchError):
    """The mirror has replaced locked packages by newer versions."""


def ensure(lock: Lock, source: Path | None = None, *, mirror: Mirror | None = None) -> dict[str, Path]:
    """Return all files of ``lock`` by SHA-256 (hex), fetching those that are not in the cache.

    ``source`` is a tar from `invoke image.vendor`; with it nothing is fetched from anywhere else.
    Raises SupersededError when the mirror no longer has a package, FetchError when a file differs from the lock, and
    InputError when the disk of the cache is full.
    """
    with disk_space.needed(cache.root(), disk_space.CACHE_HINT):
        return _ensure(lock, source, mirror)


def _ensure(lock: Lock, source: Path | None, mirror: Mirror | None) -> dict[str, Path]:
    entries = lock.entries
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        found = list(pool.map(lambda entry: cached(entry.sha256), entries))
    missing = [entry for entry, path in zip(entries, found, strict=True) if path is None]
    if source is not None:
        # Checked even when nothing is missing, so that a wrong tar is noticed.
        _from_vendored(lock, missing, source)
    elif missing:
        packages = [entry for entry in missing if isinstance(entry, LockedPackage)]
        if packages:
            _from_mirror(lock, packages, mirror or Mirror.of_host())
        wheels = [entry for entry in missing if isinstance(entry, LockedWheel)]
        if wheels:
            from image.inputs.pip import download

            download(wheels, cache.inputs())
    return {entry.sha256: cache.inputs() / entry.sha256 for entry in entries}


def cached(sha256: str) -> Path | None:
    """The cached file with this digest, or None. A file whose bytes have changed is removed."""
    path = cache.inputs() / sha256
    if not path.is_file():
        return None
    if cache.digest(path) != sha256:
        path.unlink()
        return None
    return path


def check(lock: Lock, source: Path) -> None:
    """Check that ``source`` is a tar from `invoke image.vendor` with every file of ``lock``, by name and size.

    Raises FetchError with the exit code of a wrong input.
    """
    with _vendored(lock, source):
        pass


def _from_vendored(lock: Lock, missing: Sequence[LockEntry], source: Path) -> None:
    with _vendored(lock, source) as read:
        for entry in missing:
            keep(read(entry), entry.label, entry.sha256)


@contextmanager
def _vendored(lock: Lock, source: Path) -> Generator[Callable[[LockEntry], bytes]]:
    """Open the tar and yield a function that reads an entry of ``lock`` from it."""
    try:
        with userfile.open_regular(source) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            members = {member.name: member for member in archive if member.isreg()}

            def read(entry: LockEntry) -> bytes:
                content = archive.extractfile(members[f"inputs/{entry.sha256}"])
                return content.read() if content is not None else b""

            for entry in lock.entries:
                member = members.get(f"inputs/{entry.sha256}")
                if member is None or member.size != entry.size:
                    raise FetchError(
                        f"{source} does not contain {entry.label} (SHA-256 {entry.sha256}).",
                        hint="Pack the inputs of this checkout's locks with `invoke image.vendor`.",
                        exit_code=InputError.exit_code,
                    )
            yield read
    except (tarfile.TarError, OSError) as error:
        # The caller writes to the cache inside this block; a full disk there is not a fault of the tar.
        if isinstance(error, OSError) and error.errno in disk_space.FULL:
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FetchError(
            f"Cannot read the vendored inputs {source}: {reason}.",
            hint="Name a tar that `invoke image.vendor` has written.",
            exit_code=InputError.exit_code,
        ) from error


def _from_mirror(lock: Lock, packages: Sequence[LockedPackage], mirror: Mirror) -> None:
    dates = {archive.archive: archive.time() for archive in lock.archives}
    downloads = []
    for package in packages:
        addresses = [mirror.address(package.archive, package.path)]
        if mirror.snapshot:
            addresses.append(mirror.snapshot_address(package.archive, package.path, dates[package.archive]))
        downloads.append(Download(package.label, package.sha256, package.size, tuple(addresses)))
    gone = download_all(downloads, title=f"Fetching Debian packages ({lock.flavor}: {len(downloads)})")
    gone.sort(key=lambda download: download.label)
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise SupersededError(
            f"The Debian mirror no longer has {gone[0].label}{more}, which the lock of {lock.flavor} names: "
            "a newer version has replaced it.",
            hint="Pass --relock to build from a new lock under out/ (the measurements change), pass --from with a tar "
            "from `invoke image.vendor`, or set CLOISTER_DEBIAN_SNAPSHOT to the address of a snapshot archive.",
        )
