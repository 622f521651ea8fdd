"""Bring the files of a lock into the cache: cache, vendored tar, mirror, snapshot archive, in this order.

Every byte is checked against the lock before it gets its name in the cache; a broken transfer is taken up
where it ended, and two processes that want the same file share one transfer.
"""

import fcntl
import http.client
import io
import os
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from image import cache, disk_space
from image.debian.mirror import Mirror
from image.errors import ImageError
from image.inputs.lockfile import Lock, LockedPackage, LockedWheel

_PARALLEL = 6
_TRIES = 4
_TIMEOUT = 60.0
_PAUSE = 1.0
"""Seconds: of silence before a server is given up, and before it is asked again when nothing came."""
_BLOCK = 1 << 18

Progress = Callable[[int], None]
"""Called with the number of bytes that arrived since the last call."""


class FetchError(ImageError):
    """A file of a lock cannot be had, or is not the one that the lock names."""

    remedy = "Check the network and the mirrors, then run the command again."


class SupersededError(FetchError):
    """The mirror has replaced packages by newer ones."""


class _StoppedError(Exception):
    """Another transfer failed, or the user wants to stop."""


class _AbsentError(Exception):
    """The server says that it has no such file."""


@dataclass(frozen=True)
class Download:
    """One file to fetch: what to call it in messages, its digest and size, the addresses to try in order."""

    label: str
    sha256: str
    size: int
    addresses: tuple[str, ...]


def cached(sha256: str) -> Path | None:
    """The file of this digest in the cache, or None; one whose bytes have changed is removed."""
    path = cache.inputs() / sha256
    if not path.is_file():
        return None
    if cache.digest(path) != sha256:
        path.unlink()
        return None
    return path


def ensure(lock: Lock, source: Path | None = None, *, mirror: Mirror | None = None) -> dict[str, Path]:
    """All files of ``lock`` by SHA-256 (hex), fetched when they are not in the cache.

    ``source`` is a tar that `invoke image.vendor` wrote: with it nothing is fetched from anywhere else.
    Raises SupersededError when the mirror no longer has a package, FetchError when a file is not the locked one and
    InputError when the cache has no room.
    """
    with disk_space.needed(cache.root(), disk_space.CACHE):
        return _ensure(lock, source, mirror)


def _ensure(lock: Lock, source: Path | None, mirror: Mirror | None) -> dict[str, Path]:
    entries: tuple[LockedPackage | LockedWheel, ...] = (*lock.packages, *lock.wheels)
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        found = list(pool.map(lambda entry: cached(entry.sha256), entries))
    missing = [entry for entry, path in zip(entries, found, strict=True) if path is None]
    if source is not None:
        # Also when nothing is missing: who names a tar means it.
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


def check(lock: Lock, source: Path) -> None:
    """Raise FetchError (the user's own input is wrong) unless ``source`` is a tar of `invoke image.vendor` that holds
    every file of ``lock``, by name and size.
    """
    with _vendored(lock, source):
        pass


def _from_vendored(lock: Lock, missing: Sequence[LockedPackage | LockedWheel], source: Path) -> None:
    with _vendored(lock, source) as read:
        for entry in missing:
            keep(read(entry), entry.label, entry.sha256)


@contextmanager
def _vendored(lock: Lock, source: Path) -> Generator[Callable[[LockedPackage | LockedWheel], bytes]]:
    """Yields what reads an entry of ``lock`` from the tar."""
    try:
        with userfile.open_regular(source) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            members = {member.name: member for member in archive if member.isreg()}

            def read(entry: LockedPackage | LockedWheel) -> bytes:
                content = archive.extractfile(members[f"inputs/{entry.sha256}"])
                return content.read() if content is not None else b""

            for entry in (*lock.packages, *lock.wheels):
                member = members.get(f"inputs/{entry.sha256}")
                if member is None or member.size != entry.size:
                    raise FetchError(
                        f"{source} does not hold {entry.label} (SHA-256 {entry.sha256}).",
                        hint="Pack the inputs of this checkout's locks: invoke image.vendor",
                        exit_code=InputError.exit_code,
                    )
            yield read
    except (tarfile.TarError, OSError) as error:
        # What is read is kept elsewhere, where there may be no room.
        if isinstance(error, OSError) and error.errno in disk_space.FULL:
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        said = f"The vendored inputs {source} cannot be read: {reason}."
        raise FetchError(said, exit_code=InputError.exit_code) from error


def _from_mirror(lock: Lock, packages: Sequence[LockedPackage], mirror: Mirror) -> None:
    dates = {archive.archive: archive.time() for archive in lock.archives}
    downloads = []
    for package in packages:
        addresses = [mirror.address(package.archive, package.path)]
        if mirror.snapshot:
            addresses.append(mirror.snapshot_address(package.archive, package.path, dates[package.archive]))
        downloads.append(Download(package.label, package.sha256, package.size, tuple(addresses)))
    gone = fetch_all(downloads, title=f"Fetching Debian packages ({lock.flavor}: {len(downloads)})")
    gone.sort(key=lambda download: download.label)
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise SupersededError(
            f"The Debian mirror no longer has {gone[0].label}{more}, which the lock of {lock.flavor} names; "
            "a newer version has taken its place.",
            hint="Use --relock to build from a new lock under out/ (other measurements), give --from the tar of "
            "`invoke image.vendor`, or set CLOISTER_DEBIAN_SNAPSHOT to the address of a snapshot archive.",
        )


def fetch_all(downloads: Sequence[Download], *, title: str) -> list[Download]:
    """Fetch in parallel into the cache; returns those that no address has any more.

    The first error, or Ctrl-C, ends the other transfers too; what arrived of them is taken up the next time.
    """
    stop = threading.Event()

    def one(download: Download, progress: Progress) -> Download | None:
        def arrived(count: int) -> None:
            if stop.is_set():
                raise _StoppedError
            progress(count)

        try:
            fetch(download, arrived)
        except _AbsentError:
            return download
        return None

    total = sum(download.size for download in downloads)
    with _bar(title, total) as progress, ThreadPoolExecutor(_PARALLEL) as pool:
        running = [pool.submit(one, download, progress) for download in downloads]
        try:
            return [gone for future in as_completed(running) if (gone := future.result()) is not None]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _bar(title: str, total: int) -> Generator[Progress]:
    """A progress bar with bytes, rate and time left on a terminal; one line elsewhere."""
    if not sys.stderr.isatty():
        print(f"{title}, {total / 1e6:.1f} MB ...", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=total)
        yield lambda count: bars.advance(task, count)


def keep(content: bytes, label: str, sha256: str) -> Path:
    """Check bytes that came from elsewhere and give them their name in the cache."""
    target = cache.inputs() / sha256
    part = target.with_name(f"{sha256}.{os.getpid()}.new")
    try:
        part.write_bytes(content)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return _name(part, target, label)


def _name(part: Path, target: Path, label: str) -> Path:
    found = cache.digest(part)
    if found != target.name:
        part.unlink()
        raise FetchError(
            f"{label} has the SHA-256 {found}, and the lock says {target.name}.",
            hint="It was not kept. Try another mirror with CLOISTER_DEBIAN_MIRROR.",
        )
    os.replace(part, target)
    return target


def fetch(download: Download, progress: Progress = lambda _: None) -> Path:
    """Fetch one file into the cache, going on where an earlier transfer ended.

    Raises FetchError when the bytes are not those of the digest (nothing is kept then) or nobody answers.
    """
    target = cache.inputs() / download.sha256
    part = target.with_name(f"{download.sha256}.part")
    with part.open("ab") as file:
        # A second process waits here, and then finds the file complete (this part then has no name any more).
        fcntl.flock(file, fcntl.LOCK_EX)
        if target.is_file() and cache.digest(target) == download.sha256:
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                part.unlink()
            progress(download.size)
            return target
        absent = 0
        for address in download.addresses:
            try:
                _transfer(address, file, download, progress)
                break
            except _AbsentError:
                absent += 1
        if absent == len(download.addresses):
            part.unlink(missing_ok=True)
            raise _AbsentError
        file.flush()
        return _name(part, target, download.label)


def _transfer(address: str, file: io.BufferedWriter, download: Download, progress: Progress) -> None:
    """Append what is missing of ``download`` to ``file``; several tries, each from where the last one ended."""
    problem: Exception | None = None
    progress(file.seek(0, io.SEEK_END))
    for _ in range(_TRIES):
        begun = file.seek(0, io.SEEK_END)
        if begun == download.size:
            return
        try:
            _append(address, file, download, progress)
        except urllib.error.HTTPError as error:
            if error.code in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
                raise _AbsentError from error
            problem = error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in disk_space.FULL:
                raise
            problem = error
        if file.seek(0, io.SEEK_END) == begun:
            time.sleep(_PAUSE)
    if file.seek(0, io.SEEK_END) == download.size:
        return
    why = f" ({problem})" if problem else ""
    raise FetchError(
        f"{download.label} could not be fetched from {address}{why}.",
        hint="Check the network, or choose another mirror with CLOISTER_DEBIAN_MIRROR.",
    )


def _append(address: str, file: io.BufferedWriter, download: Download, progress: Progress) -> None:
    """Ask once for what is missing; a server that knows no ranges sends everything again."""
    have = file.seek(0, io.SEEK_END)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if have and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            progress(-have)
            have = 0
        while block := answer.read(min(_BLOCK, download.size - have + 1)):
            have += len(block)
            if have > download.size:
                file.truncate(0)
                raise FetchError(f"{download.label} is longer than the {download.size} bytes of the lock.")
            file.write(block)
            progress(len(block))
