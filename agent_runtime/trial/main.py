"""The program of a trial: process 1 of its namespaces, in the tree's own Python.

It reads one request on standard input and writes one report, JSON, to the descriptor in ``argv[1]``. The algorithm's
output goes to standard output. The run is stopped when standard input is closed.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from agent_runtime.computation.job_from_manifest import build_job, check_supported
from agent_runtime.errors import AgentError
from agent_runtime.limits import Limits
from agent_runtime.runner.container import RunnerPaths
from agent_runtime.runner.oci_config import PROCESS_UID, SandboxHost, memory_limit, unpacked_size
from agent_runtime.runner.protocol import Job, RunOutcome
from agent_runtime.trial.container import TrialContainer, result_files
from cloister.errors import CloisterError
from cloister.protocol.manifest import Manifest

_LENGTH = 12
_OWN_PROCESSES = 7
"""Processes and threads outside of the sandbox that the kernel counts with it: five threads of this program, the one
that waits for it, and crun."""


def main() -> None:
    """Run the request's manifest once."""
    report = int(sys.argv[1])
    found = json.loads(sys.argv[2])
    try:
        answer = _run(
            Manifest.from_value(_read_request()), wide=found["wide"], cgroup=found["group"], keep=found["keep"]
        )
    except (OSError, CloisterError, AgentError) as error:
        answer = {"failure": "not-built", "why": str(error)}
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with open(report, "w", encoding="utf-8") as out:
        json.dump(answer, out)


def _read_request() -> Any:
    data = sys.stdin.buffer.read(int(sys.stdin.buffer.read(_LENGTH)))
    return json.loads(data)


def _run(manifest: Manifest, *, wide: bool, cgroup: bool, keep: int | None) -> dict[str, Any]:
    check_supported(manifest)
    job = build_job(manifest)
    container = TrialContainer(RunnerPaths(), _host(job, wide=wide, cgroup=cgroup))
    threading.Thread(target=_stop_at_end, args=(container,), name="end", daemon=True).start()
    if not cgroup:
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[: job.cpus])
    layers = sum(entry.stat().st_size for entry in (container.paths.store / "datasets").iterdir())
    begun = time.monotonic()
    container.watch(job, layers)
    try:
        outcome = container.run(job)
    finally:
        container.meter.stop()
    if container.meter.failure:
        raise AgentError(f"The run's memory could not be measured ({container.meter.failure}), so it was ended.")
    seconds = time.monotonic() - begun
    files = result_files(container.paths.results)
    outcome = _accept(outcome, manifest, container.paths.results, keep)
    group = container.paths.cgroups / "run"
    return {
        "outcome": outcome.value,
        "seconds": seconds,
        "memory": _peak(group / "memory.peak", container.meter.memory, cgroup=cgroup),
        "processes": container.meter.processes,
        "printed": container.printed,
        "output": container.paths.output.read_bytes()[: job.output].hex() if container.paths.output.exists() else "",
        "results": [[os.fsencode(name).hex(), size] for name, size in files],
        "memory_limit": memory_limit(job),
        "unpacked": unpacked_size(job),
        "cgroup": cgroup,
        "user": PROCESS_UID,
    }


def _host(job: Job, *, wide: bool, cgroup: bool) -> SandboxHost:
    # The kernel counts processes per user namespace (Linux 5.14), so the caller's other programs do not count.
    rlimits = {} if cgroup else {"RLIMIT_NPROC": job.processes + _OWN_PROCESSES}
    if wide:
        return SandboxHost(cgroup=cgroup, rlimits=rlimits)
    return SandboxHost(inside=PROCESS_UID, outside=0, count=1, cgroup=cgroup, rlimits=rlimits)


def _accept(outcome: RunOutcome, manifest: Manifest, results: Path, keep: int | None) -> RunOutcome:
    """The outcome after the agent's own check of the results, which are then zipped to the descriptor ``keep``."""
    if outcome is not RunOutcome.OK:
        return outcome
    # Imported late: it loads cryptography.
    from agent_runtime.computation.results import collect_files
    from cloister.protocol import archive

    try:
        files = collect_files(results, max_size=manifest.results.max_size, limits=Limits())
    except (AgentError, ValueError, CloisterError):
        return RunOutcome.RESULT_INVALID
    if keep is not None:
        with os.fdopen(keep, "wb") as out:
            archive.write_zip(out, [(file.name, file.path) for file in files])
    return outcome


def _peak(path: Path, sampled: int, *, cgroup: bool) -> int:
    try:
        return max(sampled, int(path.read_text())) if cgroup else sampled
    except OSError:  # older than Linux 5.19
        return sampled


def _stop_at_end(container: TrialContainer) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    container.stop()
