"""An honest party's upload while other peers keep the agent busy, against the same upload on a machine of its own.

The others have no key: idle and half-open connections, sessions that are never bound, probes, and malformed HTTP/2 and
calls twice a second. Each upload has a fresh agent; both kinds of rounds alternate.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measurement import BenchmarkResult
from benchmarks.transfer import running_machine, source_file, started

_MIB = 1024 * 1024
_SIZE = 512 * _MIB
_IDLE, _HALF_OPEN, _SESSIONS = 1000, 250, 200
_MEMORY = Path("/dev/shm")  # noqa: S108 - files of this size, in a new folder


def measure(repeat: int) -> list[BenchmarkResult]:
    """The time of an upload under load, times that without; the agent's peak memory under it."""
    ratios, peaks = [], []
    with tempfile.TemporaryDirectory(prefix="cloister-load-", dir=_MEMORY) as made:
        folder = Path(made)
        source = source_file(folder, _SIZE)
        for index in range(repeat):
            with running_machine(folder / f"alone-{index}", source) as machine:
                alone = machine.run("upload")["seconds"]
            with running_machine(folder / f"busy-{index}", source) as machine:
                address = machine.party.address
                counts = map(str, (address.port, _IDLE, _HALF_OPEN, _SESSIONS))
                with started([sys.executable, "-m", "tests.load.peers", address.host, *counts]):
                    ratios.append(machine.run("upload")["seconds"] / alone)
                    peaks.append(machine.peak())
    how = f"{_IDLE} idle and {_HALF_OPEN} half-open connections, {_SESSIONS} unbound sessions, malformed input"
    return [
        BenchmarkResult("upload of 512 MiB under load, times the same alone", tuple(ratios), "x", 1.25, how),
        BenchmarkResult("agent's peak memory under that load", tuple(peaks), "MB", 268.4, "VmHWM"),
    ]
