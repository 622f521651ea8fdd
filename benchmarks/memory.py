"""The highest memory of a command with all programs that it starts."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measurement import CHECKOUT, BenchmarkError

_PAUSE = 0.02
# proc(5), /proc/PID/stat: fields after the name, from 3 (state): 6 is the session.
_SESSION = 6 - 3


def peak(argv: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> float:
    """The highest sum of its processes' proportional set sizes at a time, in MB: a page of several counts once.

    The processes are read one after the other. One that forks meanwhile is counted with its child, so a sum counts
    only if the next one, 20 ms later, is as high. Raises BenchmarkError.
    """
    with subprocess.Popen(
        argv,
        cwd=CHECKOUT,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:
        highest = before = 0
        while started.poll() is None:
            now = sum(map(_kilobytes, _processes(started.pid)))
            highest, before = max(highest, min(before, now)), now
            time.sleep(_PAUSE)
    if started.returncode:
        raise BenchmarkError(f"`{' '.join(map(str, argv))}` ended with status {started.returncode}.")
    return highest * 1024 / 1e6


def _processes(session: int) -> list[Path]:
    """The folders in /proc of all processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b") ")[2].split()
                if int(fields[_SESSION]) == session:
                    found.append(Path("/proc", name))
    return found


def _kilobytes(process: Path) -> int:
    """The proportional set size of a process; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in (process / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
