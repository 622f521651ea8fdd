"""The sandbox of a trial: that of a machine, adapted to an author without root and without a cgroup."""

import contextlib
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from agent_runtime.runner import oci_config
from agent_runtime.runner.container import Container
from agent_runtime.runner.disk.scratchrun import ScratchRun
from agent_runtime.runner.kept_output import keep_output
from agent_runtime.runner.mounts import MS_BIND, mount
from agent_runtime.runner.protocol import Job
from agent_runtime.trial.meter import Meter

_MS_REC = 16384  # mount(2)


@dataclass
class TrialContainer(Container):
    """Copies the datasets instead of layering them, passes the output on, and enforces limits without a cgroup."""

    printed: int = 0
    """Bytes that the algorithm printed."""

    meter: Meter = field(default_factory=Meter)
    """What the run uses, from samples."""

    def watch(self, job: Job, layers: int) -> None:
        """Start to sample; ``layers`` are the bytes of datasets that a machine does not count."""
        limit = None if self.host.cgroup else oci_config.memory_limit(job)
        if limit is not None and job.container is not None:
            limit = max(limit, oci_config.PACKER_MEMORY)  # as a machine allows for unpacking the image
        self.meter.start(limit, layers, self.guard.due.set)

    def _room(self, scratch: ScratchRun) -> Path:
        """The datasets' folder itself: the overlay of a machine cannot be mounted in a user namespace."""
        return self.paths.base / "datasets"

    def _make_room(self, job: Job, scratch: ScratchRun) -> None:
        """A bounded tmpfs, also for copies of the datasets."""
        sizes = [entry.stat().st_size for entry in (self.paths.store / "datasets").iterdir()]
        # A file takes whole pages.
        size = sum(size + 4096 for size in sizes) + job.memory + oci_config.unpacked_size(job)
        self._tmpfs(self._room(scratch), size, oci_config.upper_inodes(job), 0)

    def _place_datasets(self, job: Job, scratch: ScratchRun) -> None:
        """Copy the datasets."""
        store, place = self.paths.store / "datasets", self._room(scratch)
        for entry in store.iterdir():
            shutil.copyfile(entry, place / entry.name)
            self._give(place / entry.name)
        self._give(place)

    def _place_algorithm(self, job: Job, scratch: ScratchRun) -> None:
        """Mount the algorithm; a program is copied, because the author's file may not be executable."""
        if job.kind != "binary":
            super()._place_algorithm(job, scratch)
            return
        target = self.paths.base / "algorithm"
        shutil.copyfile(self.paths.store / "algorithm", target)
        target.chmod(0o555)

    def _bind(self, source: Path, target: Path) -> None:
        """As in a machine; but each asset in a folder of the store is a mount of its own, which comes along."""
        inner = _MS_REC if source.is_relative_to(self.paths.store) else 0
        mount(str(source), target, "", MS_BIND | inner, "")

    def _keep_output(self, source: IO[bytes], limit: int) -> None:
        keep_output(source, self.paths.output, limit, self._pass_on)

    def _pass_on(self, data: bytes) -> None:
        self.printed += len(data)
        write_all(sys.stdout.fileno(), data)

    def _tell(self, job: Job, why: str) -> None:
        super()._tell(job, why)
        write_all(sys.stdout.fileno(), f"\n{why}\n".encode())

    def _kill(self) -> None:
        # This is process 1 of its namespace: the others are the run.
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _oom_kills(self) -> int:
        return super()._oom_kills() if self.host.cgroup else int(self.meter.exceeded)

    def _crun_words(self) -> list[str]:
        words = super()._crun_words()
        return words if self.host.cgroup else [*words[:-1], "--cgroup-manager=disabled"]


def write_all(descriptor: int, data: bytes) -> None:
    """Write ``data`` to a pipe, and nothing if its reader is gone."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        return


def result_files(folder: Path) -> list[tuple[str, int]]:
    """Relative name and size of each file of a run's results, sorted."""
    found = []
    for place, _, files in os.walk(folder):
        for name in files:
            path = Path(place, name)
            with contextlib.suppress(OSError):  # a path of more than 4,096 bytes, which no result has
                found.append((path.relative_to(folder).as_posix(), path.lstat().st_size))
    return sorted(found)
