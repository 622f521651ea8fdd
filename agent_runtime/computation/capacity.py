"""Whether the machine has room for all that a manifest declares: what does not fit is refused when it is submitted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent_runtime.computation.job_from_manifest import build_job
from agent_runtime.computation.results import OVERHEAD
from agent_runtime.errors import AgentError, Reason, Refusal
from agent_runtime.runner.oci_config import memory_limit
from cloister.protocol.manifest import Manifest

MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class RequiredCapacity:
    """Bytes: ``store`` for assets and results (a result stands once plain and once per consumer), ``run`` for the
    sandbox and what it prints."""

    store: int
    run: int

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """What a manifest declares."""
        copies = 1 + len(manifest.results.consumers)
        results = copies * (manifest.results.max_size + OVERHEAD)
        return cls(
            store=sum(asset.size for asset in manifest.assets()) + results,
            run=memory_limit(build_job(manifest)) + manifest.logs.max_size,
        )

    def check(self, *, store: int, memory: int) -> None:
        """Raises Refusal TOO_LARGE when the bytes that are free do not suffice."""
        if self.store > store or self.store + self.run > memory:
            raise Refusal(
                Reason.TOO_LARGE,
                f"The manifest needs {self.store} bytes for assets and results and {self.run} bytes for the run; this "
                f"machine has {store} for the first and {memory} for both.",
                store_needed=str(self.store),
                store_free=str(store),
                memory_needed=str(self.store + self.run),
                memory_free=str(memory),
            )


def free_memory(path: Path = MEMORY) -> int:
    """Bytes that the kernel can give (proc(5), MemAvailable). Raises AgentError."""
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    raise AgentError("The kernel does not say how much memory is free.")


def free_store(folder: Path) -> int:
    """Bytes that are free in the file system of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


FreeBytes = Callable[[], int]
