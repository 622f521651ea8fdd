"""Compares the sizes that a manifest declares with the machine's free memory, before the manifest is accepted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent_runtime.computation.job_from_manifest import build_job
from agent_runtime.computation.results import OVERHEAD
from agent_runtime.errors import AgentError, CallRefusal, Reason
from agent_runtime.runner.oci_config import memory_limit, uncharged
from cloister.protocol.manifest import Manifest

MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class RequiredCapacity:
    """Bytes: ``store`` for assets and results, ``run`` for the sandbox, also what no cgroup counts, and its logs.

    The store holds a result once in plain and once per consumer.
    """

    store: int
    run: int

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The bytes that a manifest needs."""
        copies = 1 + len(manifest.results.consumers)
        results = copies * (manifest.results.max_size + OVERHEAD)
        job = build_job(manifest)
        return cls(
            store=sum(asset.size for asset in manifest.assets()) + results,
            run=memory_limit(job) + uncharged(job) + manifest.logs.max_size,
        )

    def check(self, *, store: int, memory: int) -> None:
        """Raises CallRefusal TOO_LARGE when fewer bytes are free; ``memory`` includes ``store``."""
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


def free_store(folder: Path) -> int:
    """Free bytes in the file system of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


FreeBytes = Callable[[], int]
