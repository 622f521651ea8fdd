"""What a benchmark gives: a figure, what it should reach, and how it came about."""

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


class BenchmarkError(CloisterError):
    """A measured command failed, or its output lacks the measured value."""

    remedy = "Run the command by itself to see why it fails."


@dataclass(frozen=True)
class BenchmarkResult:
    """``values`` in ``unit`` (``s``, ``ms``, ``%`` or ``MB``, 10^6 bytes); the figure is their median.

    ``reach`` is None where a figure is only there to compare with; ``parts`` say where it goes.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    reach: float | None
    how: str
    parts: tuple[tuple[str, float], ...] = ()

    @property
    def figure(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        """Whether the figure is below what it should reach."""
        return self.reach is None or self.figure <= self.reach

    def row(self) -> str:
        """A row of the table in README.md."""
        reach = "" if self.reach is None else f"{self.reach:g} {self.unit}"
        runs = f"median of {len(self.values)}" if len(self.values) > 1 else "one run"
        spread = f", {min(self.values):.2f} to {max(self.values):.2f}" if len(self.values) > 1 else ""
        return f"| {self.name} | {reach} | {self.figure:.2f} {self.unit} | {runs}{spread}; {self.how} |"


def invoke(*words: str | Path, environment: dict[str, str] | None = None) -> float:
    """Run one verb to its end; seconds of wall time. Raises BenchmarkError with the last lines of its output."""
    return seconds([INVOKE, *words], environment)


def seconds(argv: Sequence[str | Path], environment: dict[str, str] | None = None) -> float:
    """Run a command to its end in the checkout; seconds of wall time. Raises BenchmarkError."""
    began = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=CHECKOUT,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    took = time.monotonic() - began
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()[-12:]
        words = " ".join([Path(argv[0]).name, *map(str, argv[1:])])
        raise BenchmarkError("\n".join([f"`{words}` ended with status {done.returncode}.", *tail]))
    return took


def median_parts(runs: Sequence[dict[str, float]]) -> tuple[tuple[str, float], ...]:
    """For each part that every run has, its median."""
    return tuple(
        (name, statistics.median(run[name] for run in runs)) for name in runs[0] if all(name in run for run in runs)
    )
