"""Download files over HTTP into the cache, each checked against its SHA-256 before it gets its name there.

An interrupted transfer is resumed, and two processes that want the same file share one transfer.
"""

import fcntl
import http.client
import io
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from image import cache, disk_space
from image.errors import ImageError, reason

_PARALLEL = 6
_ATTEMPTS = 4
_TIMEOUT = 60.0
"""Seconds without data before a request is given up."""
_RETRY_DELAY = 1.0
"""Seconds before another attempt after one that brought no data."""
_BLOCK = 1 << 18

Advance: TypeAlias = Callable[[int], None]
"""Called with the number of bytes that arrived since the last call; negative when a transfer starts over."""


class FetchError(ImageError):
    """A file of a lock cannot be fetched, or its content differs from the lock."""

    remedy = "Check the network and the mirrors, then run the command again."


class _StoppedError(Exception):
    """Another transfer failed, or the user interrupted."""


class NotFoundError(Exception):
    """No address of a download has the file."""


@dataclass(frozen=True)
class Download:
    """One file to fetch: its label in messages, its digest and size, and the addresses to try in order."""

    label: str
    sha256: str
    size: int
    addresses: tuple[str, ...]


def download_all(downloads: Sequence[Download], *, title: str) -> list[Download]:
    """Download in parallel into the cache; return those that no address has.

    The first error, or Ctrl-C, stops the other transfers; what has arrived is kept and resumed next time.
    """
    stop = threading.Event()

    def one(wanted: Download, advance: Advance) -> Download | None:
        def arrived(count: int) -> None:
            if stop.is_set():
                raise _StoppedError
            advance(count)

        try:
            download(wanted, arrived)
        except NotFoundError:
            return wanted
        return None

    total = sum(wanted.size for wanted in downloads)
    with _progress_bar(title, total) as advance, ThreadPoolExecutor(_PARALLEL) as pool:
        running = [pool.submit(one, wanted, advance) for wanted in downloads]
        try:
            return [gone for future in as_completed(running) if (gone := future.result()) is not None]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _progress_bar(title: str, total: int) -> Generator[Advance]:
    """A progress bar with bytes, rate and time left on a terminal; one line elsewhere."""
    if not sys.stderr.isatty():
        print(f"{title}, {total / 1e6:.1f} MB ...", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=total)
        yield lambda count: bars.advance(task, count)


def download(wanted: Download, advance: Advance = lambda _: None) -> Path:
    """Download one file into the cache, resuming an earlier transfer.

    Raises NotFoundError when no address has the file, and FetchError when the content has another digest (nothing is
    kept then) or no server responds.
    """
    target = cache.inputs() / wanted.sha256
    part = target.with_name(f"{wanted.sha256}.part")
    with part.open("ab") as file:
        # A second process waits here and then finds the file complete (its part file has no name any more).
        fcntl.flock(file, fcntl.LOCK_EX)
        if target.is_file() and cache.digest(target) == wanted.sha256:
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                part.unlink()
            advance(wanted.size)
            return target
        absent = 0
        for address in wanted.addresses:
            try:
                _transfer(address, file, wanted, advance)
                break
            except NotFoundError:
                absent += 1
        if absent == len(wanted.addresses):
            part.unlink(missing_ok=True)
            raise NotFoundError
        file.flush()
        return _move_to_cache(part, target, wanted.label)


def keep(content: bytes, label: str, sha256: str) -> Path:
    """Put bytes from another source into the cache after checking them. Raises FetchError for another digest."""
    target = cache.inputs() / sha256
    part = target.with_name(f"{sha256}.{os.getpid()}.new")
    try:
        part.write_bytes(content)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return _move_to_cache(part, target, label)


def _move_to_cache(part: Path, target: Path, label: str) -> Path:
    found = cache.digest(part)
    if found != target.name:
        part.unlink()
        raise FetchError(
            f"{label}: SHA-256 differs (lock: {target.name}, file: {found}).",
            hint="The file was not kept. Set CLOISTER_DEBIAN_MIRROR to another mirror and try again.",
        )
    os.replace(part, target)
    return target


def _transfer(address: str, file: io.BufferedWriter, wanted: Download, advance: Advance) -> None:
    """Append the missing part of ``wanted`` to ``file``, in several attempts that each resume the last one."""
    problem: Exception | None = None
    advance(file.seek(0, io.SEEK_END))
    for _ in range(_ATTEMPTS):
        begun = file.seek(0, io.SEEK_END)
        if begun == wanted.size:
            return
        try:
            _append(address, file, wanted, advance)
        except urllib.error.HTTPError as error:
            if error.code in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
                raise NotFoundError from error
            problem = error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in disk_space.FULL:
                raise
            problem = error
        if file.seek(0, io.SEEK_END) == begun:
            time.sleep(_RETRY_DELAY)
    if file.seek(0, io.SEEK_END) == wanted.size:
        return
    because = f" ({reason(problem)})" if problem else ""
    raise FetchError(
        f"Cannot fetch {wanted.label} from {address}{because}.",
        hint="Check the network, or set CLOISTER_DEBIAN_MIRROR to another mirror.",
    )


def _append(address: str, file: io.BufferedWriter, wanted: Download, advance: Advance) -> None:
    """Request the missing part once; a server without range support sends the whole file again."""
    have = file.seek(0, io.SEEK_END)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if have and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            advance(-have)
            have = 0
        while block := response.read(min(_BLOCK, wanted.size - have + 1)):
            have += len(block)
            if have > wanted.size:
                file.truncate(0)
                raise FetchError(f"{wanted.label} is larger than the {wanted.size} bytes in the lock.")
            file.write(block)
            advance(len(block))
