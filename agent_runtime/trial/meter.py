"""Measures what a run uses by sampling its processes and its file systems in memory, as a cgroup would count it."""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_INTERVAL = 0.02
"""Seconds between samples; at least ten times the processor time of a sample. Not of its duration: on a busy machine a
short run would end before the second sample."""

_IN_MEMORY = ("work/datasets", "work/results", "tmp", "dev/shm", "run/wheels")


class Meter:
    """Peaks of memory (bytes) and of processes and threads, and whether memory exceeded its limit."""

    def __init__(self) -> None:
        self.memory = 0
        self.processes = 0
        self.exceeded = False
        self.failure = ""
        """Why sampling broke off, so that the limit did not hold."""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, limit: int | None, layers: int, exceed: Callable[[], None]) -> None:
        """Sample until :meth:`stop`. ``exceed`` is called once when more than ``limit`` bytes are in use."""
        self._thread = threading.Thread(target=self._sample, args=(limit, layers, exceed), name="meter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _sample(self, limit: int | None, layers: int, exceed: Callable[[], None]) -> None:
        try:
            self._measure(limit, layers, exceed)
        except Exception as error:  # noqa: BLE001 - without samples there is no limit: the run ends
            self.failure = f"{type(error).__name__}: {error}"
            exceed()

    def _measure(self, limit: int | None, layers: int, exceed: Callable[[], None]) -> None:
        pause = _INTERVAL
        while not self._over.wait(pause):
            begun = time.thread_time()
            memory, processes = measure(layers)
            self.memory, self.processes = max(self.memory, memory), max(self.processes, processes)
            if limit is not None and memory > limit and not self.exceeded:
                self.exceeded = True
                exceed()
            pause = max(_INTERVAL, 10 * (time.thread_time() - begun))


def measure(layers: int, proc: Path = Path("/proc")) -> tuple[int, int]:
    """Bytes of memory that the run uses now, and its number of processes and threads.

    Private memory, and the larger of files in memory and shared memory, as most of the latter are such files.
    ``layers`` are bytes of files that do not count.
    """
    private = shared = files = threads = largest = 0
    own = os.readlink(proc / "self/ns/user")
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            tasks = [folder / "task" / name for name in os.listdir(folder / "task")]
            # Only the sandbox has another user namespace; before crun enters it, it does not count.
            if not tasks or os.readlink(folder / "ns/user") == own:
                continue
            threads += len(tasks)
            found = _process(folder, tasks)
            private += found.private
            shared += found.shared
            largest = max(largest, found.highest)
            files = files or found.files
    return max(largest, private + max(shared, files - layers)), threads


@dataclass
class _Process:
    """Bytes of one process: its own, those that it shares, the most that it had, and the files that it sees."""

    private: int = 0
    shared: int = 0
    highest: int = 0
    files: int = 0


def _process(folder: Path, tasks: list[Path]) -> _Process:
    for task in (folder, *tasks):
        with contextlib.suppress(OSError):
            status = fields(task / "status")
            if not status:
                continue  # the first thread has ended before the others: they have the memory
            try:
                parts = fields(folder / "smaps_rollup")
                private, shared = parts.get(b"Pss_Anon", 0), parts.get(b"Pss_Shmem", 0)
            except OSError:
                private, shared = status.get(b"RssAnon", 0), status.get(b"RssShmem", 0)
            # What one process had at its highest, also between two samples.
            found = _Process(private, shared, status.get(b"VmHWM", 0) - status.get(b"RssFile", 0))
            with contextlib.suppress(OSError):
                found.files = in_memory(task / "root")
            return found
    return _Process()


_FIELD = re.compile(rb"^(\w+):[ \t]*([0-9]{1,16}) kB$", re.MULTILINE)


def fields(path: Path) -> dict[bytes, int]:
    """The fields of a file of /proc that are in kB, in bytes. A process chooses its name, which is among the others."""
    return {name: int(size) * 1024 for name, size in _FIELD.findall(path.read_bytes())}


def in_memory(root: Path) -> int:
    """Bytes of all files in the memory file systems below ``root``."""
    total = 0
    for name in _IN_MEMORY:
        with contextlib.suppress(FileNotFoundError):
            used = os.statvfs(root / name)
            if os.stat(root / name).st_dev != os.stat(root).st_dev:
                total += (used.f_blocks - used.f_bfree) * used.f_frsize
    return total
