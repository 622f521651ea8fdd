"""Measures what a run uses by sampling its processes and its file systems in memory, as a cgroup would count it."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

_INTERVAL = 0.02
"""Seconds between samples; at least ten times as long as a sample takes."""

_IN_MEMORY = ("work/datasets", "work/results", "tmp", "dev/shm", "run/wheels")


class Meter:
    """Peaks of memory (bytes) and of processes and threads, and whether memory exceeded its limit."""

    def __init__(self) -> None:
        self.memory = 0
        self.processes = 0
        self.exceeded = False
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
        pause = _INTERVAL
        while not self._over.wait(pause):
            begun = time.monotonic()
            memory, processes = measure(layers)
            self.memory, self.processes = max(self.memory, memory), max(self.processes, processes)
            if limit is not None and memory > limit and not self.exceeded:
                self.exceeded = True
                exceed()
            pause = max(_INTERVAL, 10 * (time.monotonic() - begun))


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
            # Only the sandbox has another user namespace; before crun enters it, it does not count.
            if os.readlink(folder / "ns/user") == own:
                continue
            rollup = fields(folder / "smaps_rollup")
            private += rollup.get("Pss_Anon", 0)
            shared += rollup.get("Pss_Shmem", 0)
            # What one process had at its highest, also between two samples.
            status = fields(folder / "status")
            largest = max(largest, status.get("VmHWM", 0) - status.get("RssFile", 0))
            threads += len(os.listdir(folder / "task"))
            if not files:
                files = in_memory(folder / "root")
    return max(largest, private + max(shared, files - layers)), threads


def fields(path: Path) -> dict[str, int]:
    """The fields of a file of /proc that are in kB, in bytes."""
    found = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if words[-1] == "kB" and len(words) == 3:
            found[words[0].removesuffix(":")] = int(words[1]) * 1024
    return found


def in_memory(root: Path) -> int:
    """Bytes of all files in the memory file systems below ``root``."""
    total = 0
    for name in _IN_MEMORY:
        with contextlib.suppress(FileNotFoundError):
            used = os.statvfs(root / name)
            if os.stat(root / name).st_dev != os.stat(root).st_dev:
                total += (used.f_blocks - used.f_bfree) * used.f_frsize
    return total
