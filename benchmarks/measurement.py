"""The result of a benchmark: values, the target, and how they were measured."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister.errors import CloisterError

CHECKOUT = Path(__file__).resolve().parents[1]
INVOKE = Path(sys.executable).with_name("invoke")


INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}
"""Commands are measured as installed packages run, with byte code beside their source."""


class BenchmarkError(CloisterError):
    """A measured command failed, or its output lacks the measured value."""

    remedy = "Run the command by itself to see why it fails."


@dataclass(frozen=True)
class BenchmarkResult:
    """The values of one benchmark; the figure is their median."""

    name: str
    values: tuple[float, ...]
    unit: str
    """``s``, ``ms``, ``%``, ``x`` (times another figure) or ``MB`` (10^6 bytes)."""
    target: float | None
    """The figure must be at most this; None for a figure that others are compared with."""
    how: str
    """How it was measured."""
    parts: tuple[tuple[str, float], ...] = ()
    """Names and values of the parts that make up the figure."""

    @property
    def figure(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def meets_target(self) -> bool:
        """Whether the figure is at most the target."""
        return self.target is None or self.figure <= self.target

    def row(self) -> str:
        """A row of the table in README.md."""
        target = "" if self.target is None else f"{self.target:g} {self.unit}"
        runs = f"median of {len(self.values)}" if len(self.values) > 1 else "one run"
        spread = f", {min(self.values):.2f} to {max(self.values):.2f}" if len(self.values) > 1 else ""
        return f"| {self.name} | {target} | {self.figure:.2f} {self.unit} | {runs}{spread}; {self.how} |"


def invoke(*words: str | Path, environment: dict[str, str] | None = None) -> float:
    """Run one verb to its end; seconds of wall time. Raises BenchmarkError with the last lines of its output."""
    return seconds([INVOKE, *words], environment)


def seconds(argv: Sequence[str | Path], environment: dict[str, str] | None = None) -> float:
    """Run a command to its end in the checkout; seconds of wall time. Raises BenchmarkError."""
    began = time.monotonic()
    _run(argv, environment)
    return time.monotonic() - began


def output_of(argv: Sequence[str | Path]) -> str:
    """Run a command to its end in the checkout; what it printed on standard output. Raises BenchmarkError."""
    return _run(argv, None).stdout.decode("utf-8", "replace")


def _run(argv: Sequence[str | Path], environment: dict[str, str] | None) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        argv,
        cwd=CHECKOUT,
        env=os.environ | INSTALLED | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()[-12:]
        words = " ".join([Path(argv[0]).name, *map(str, argv[1:])])
        raise BenchmarkError("\n".join([f"`{words}` ended with status {done.returncode}.", *tail]))
    return done


def peak_memory(process: int | str = "self") -> float:
    """The highest resident memory of a process, in MB (proc(5), VmHWM). Raises BenchmarkError.

    That of getrusage(2) includes what the process had before it forked: a child inherits it.
    """
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise BenchmarkError(f"The process {process} has no VmHWM.")


def median_parts(runs: Sequence[dict[str, float]]) -> tuple[tuple[str, float], ...]:
    """The median of each part that all runs have."""
    return tuple(
        (name, statistics.median(run[name] for run in runs)) for name in runs[0] if all(name in run for run in runs)
    )
