"""The engine's share of the time that ``workspace.up`` takes, in the workspace of ``make demo``.

Each run kills the VM's process and lets ``workspace.up`` replace the VM. Times come from the start of the process
(proc(5), field 22 of ``stat``) and from the VM's ``milestones.log``, whose last line the agent writes when it listens.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult, invoke
from examples.catalogue import TUMOUR

_STATE = Path(os.environ.get("CLOISTER_STATE") or CHECKOUT / ".cloister") / TUMOUR.name
_PROGRAM = b"qemu-system-x86_64"
_END_SECONDS = 20.0


@dataclass(frozen=True)
class Boot:
    """One start of the VM, in seconds: ``up`` the verb, ``ready`` from QEMU's start to the agent."""

    up: float
    ready: float


def measure(repeat: int) -> list[BenchmarkResult]:
    """The engine's share, over ``repeat`` starts of the demo's VM."""
    boots = [_boot() for _ in range(repeat)]
    return [
        BenchmarkResult(
            "engine's share of `pulumi up` beyond the boot",
            tuple(boot.up - boot.ready for boot in boots),
            "s",
            5,
            "`invoke workspace.up` after the VM's process was killed, without the time from QEMU's start to `ready`",
        ),
    ]


def _boot() -> Boot:
    for pid, _ in _machines():
        _end(pid)
    up = invoke("workspace.up", "--stack", TUMOUR.name, "--yes")
    machines = _machines()
    if len(machines) != 1:
        raise BenchmarkError(
            f"{len(machines)} virtual machines of {TUMOUR.name} run; expected one.",
            hint="Run `make demo`: it makes the workspace that is measured.",
        )
    pid, folder = machines[0]
    log = folder / "milestones.log"
    if not log.read_text().splitlines()[-1].startswith("ready "):
        raise BenchmarkError(f"{log} does not end with `ready`.")
    return Boot(up, log.stat().st_mtime - _started(pid))


def _machines() -> list[tuple[int, Path]]:
    """Process id and folder of each VM of the workspace: the provider starts QEMU in the VM's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder = (process / "cwd").readlink()
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or of another user
        if folder.is_relative_to(_STATE) and any(word.endswith(_PROGRAM) for word in words):
            found.append((int(process.name), folder))
    return found


def _started(pid: int) -> float:
    """When the process started, in seconds since the epoch."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19])  # field 22; the rest begins with field 3
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    while Path(f"/proc/{pid}/cwd").exists():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"Process {pid} did not end within {_END_SECONDS:.0f} seconds.")
        time.sleep(0.05)
