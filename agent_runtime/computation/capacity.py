"""Compares the sizes that a manifest declares with the machine's free memory, before the manifest is accepted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent_runtime.computation.job_from_manifest import build_job
from agent_runtime.computation.results import OVERHEAD
from agent_runtime.computation.scratch import scratch_job
from agent_runtime.errors import AgentError, CallRefusal, Reason
from agent_runtime.runner.oci_config import needed_memory, uncharged
from cloister.protocol.manifest import Manifest
from cloister.protocol.scratch import ScratchNeed
from cloister.protocol.volume import tree_memory

MEMORY = Path("/proc/meminfo")
KERNEL = Path("/proc/sys/kernel")
_OWN_PROCESSES = 2048
"""Threads of the agent, which has one or two for each call, and processes of the system."""


@dataclass(frozen=True)
class RequiredCapacity:
    """Bytes: ``store`` for assets and results, ``run`` for the sandbox, also what no cgroup counts, and its logs;
    ``scratch`` of the scratch disk. ``processes`` with their threads.

    The store holds a result once in plain and once per consumer.
    """

    store: int
    run: int
    scratch: int
    processes: int

    @classmethod
    def of(cls, manifest: Manifest, *, scratch: bool) -> Self:
        """The bytes that a manifest needs on a machine with or without a scratch disk."""
        copies = 1 + len(manifest.results.recipients)
        results = copies * (manifest.results.max_size + OVERHEAD)
        need = ScratchNeed.of(manifest) if scratch else None
        job = build_job(manifest, scratch_job(need, None) if need is not None else None)
        on_disk, tree = (need.assets, tree_memory(need.uploaded_size)) if need is not None else ((), 0)
        return cls(
            store=sum(asset.size for asset in manifest.assets() if asset not in on_disk) + results,
            run=needed_memory(job) + uncharged(job) + manifest.logs.max_size + tree,
            scratch=need.total if need is not None else manifest.limits.scratch,
            processes=manifest.limits.processes,
        )

    def check(self, *, store: int, memory: int, scratch: int, processes: int) -> None:
        """Raises CallRefusal TOO_LARGE when less is free; ``memory`` includes ``store``."""
        if self.processes > processes:
            raise CallRefusal(
                Reason.TOO_LARGE,
                f"The manifest allows the algorithm {self.processes} processes and threads. This machine has room for "
                f"{processes}.",
                processes_needed=str(self.processes),
                processes_free=str(processes),
            )
        if self.scratch > scratch:
            has = f"has {scratch} bytes" if scratch else "has no scratch disk"
            raise CallRefusal(
                Reason.TOO_LARGE,
                f"The manifest needs {self.scratch} bytes of the scratch disk. This machine {has}.",
                scratch_needed=str(self.scratch),
                scratch_free=str(scratch),
            )
        if self.store > store or self.store + self.run > memory:
            raise CallRefusal(
                Reason.TOO_LARGE,
                f"The manifest needs {self.store} bytes for assets and results and {self.run} bytes for the run. "
                f"This machine has {store} bytes for assets and results, and {memory} bytes for both.",
                store_needed=str(self.store),
                store_free=str(store),
                memory_needed=str(self.store + self.run),
                memory_free=str(memory),
            )


def free_memory(path: Path = MEMORY) -> int:
    """Bytes of available memory (proc(5), MemAvailable). Raises AgentError."""
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    raise AgentError("/proc/meminfo has no MemAvailable.")


def free_processes(kernel: Path = KERNEL) -> int:
    """How many processes and threads an algorithm may have; the rest is for agent and runner.

    The kernel has one limit for all, whatever the sandbox's own (proc(5), kernel/threads-max and kernel/pid_max).
    """
    return min(int((kernel / name).read_text()) for name in ("threads-max", "pid_max")) - _OWN_PROCESSES


def free_store(folder: Path) -> int:
    """Free bytes in the file system of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


FreeBytes = Callable[[], int]
