"""Time from the start of QEMU to the first verdict, and the share of the engine, in the workspace of ``make demo``.

Each run kills the VM's process, lets ``workspace.up`` replace the VM, and attests it. Times come from the start of the
process (proc(5), field 22 of ``stat``) and from the VM's ``milestones.log``; its last line, with the guest's uptime, is
written by the agent when it listens.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult, invoke, median_parts
from examples.catalogue import TUMOUR

POLICY = CHECKOUT / "out" / "demo" / "lab" / "policy.json"
_STATE = Path(os.environ.get("CLOISTER_STATE") or CHECKOUT / ".cloister") / TUMOUR.name
_DESCRIPTOR = CHECKOUT / "out" / "bench" / "workspace.json"
_PROGRAM = b"qemu-system-x86_64"
_END_SECONDS = 20.0


@dataclass(frozen=True)
class Boot:
    """One start of the VM, in seconds: ``up`` the verb, ``ready`` from QEMU's start to the agent, ``attest`` the verb.

    ``milestones`` are the guest's uptimes, in the order in which they were reached.
    """

    up: float
    ready: float
    attest: float
    milestones: tuple[tuple[str, float], ...]

    def parts(self) -> dict[str, float]:
        """The parts of the time from QEMU's start to the verdict."""
        found = {"firmware and loader": self.ready - self.milestones[-1][1]}
        before = 0.0
        for name, uptime in self.milestones:
            found[f"to {name}"] = uptime - before
            before = uptime
        return {**found, "attest": self.attest}


def measure(repeat: int) -> list[BenchmarkResult]:
    """Verdict and engine's share, over ``repeat`` starts of the demo's VM."""
    if not POLICY.exists():
        raise BenchmarkError(f"{POLICY} is missing.", hint="Run `make demo`: it makes the workspace that is measured.")
    boots = [_boot() for _ in range(repeat)]
    return [
        BenchmarkResult(
            "QEMU start to the first verdict of a client",
            tuple(boot.ready + boot.attest for boot in boots),
            "s",
            30,
            "start of the process to the agent's `ready`, and `invoke attest`",
            median_parts([boot.parts() for boot in boots]),
        ),
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
        raise BenchmarkError(f"{len(machines)} virtual machines of {TUMOUR.name} run; expected one.")
    pid, folder = machines[0]
    log = folder / "milestones.log"
    milestones = tuple(
        (name, float(uptime)) for name, uptime in (line.split() for line in log.read_text().splitlines())
    )
    if not milestones or milestones[-1][0] != "ready":
        raise BenchmarkError(f"{log} does not end with `ready`.")
    ready = log.stat().st_mtime - _started(pid)
    _DESCRIPTOR.parent.mkdir(parents=True, exist_ok=True)
    invoke("workspace.export", "--stack", TUMOUR.name, "--output", _DESCRIPTOR)
    attest = invoke("attest", "--workspace", _DESCRIPTOR, "--policy", POLICY)
    return Boot(up, ready, attest, milestones)


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
