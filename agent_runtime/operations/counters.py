"""The agent's own counters.

An algorithm could send information to an owner in whatever depends on how it runs. So there are two groups. What peers
ask is always counted. How the agent does (outcomes, durations) is not recorded while an algorithm runs, and what
measures the process (CPU time, memory) keeps for good the values of the moment before the run began. Labels have values
of fixed sets only: no names of parties, assets or files.
"""

import contextlib
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from agent_runtime.operations.openmetrics import MetricFamily, MetricType

_STATUS = Path("/proc/self/statm")
_PREFIX = "cloister_"

_Numbers: TypeAlias = Counter[tuple[str, ...]]
"""How often, by the values of the labels."""


class CallOutcome(StrEnum):
    """How a call ended."""

    OK = "ok"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAULT = "fault"


@dataclass(frozen=True)
class ProcessUse:
    """What the agent's process has used: CPU time in seconds, and resident memory in bytes."""

    cpu: float
    memory: int

    @classmethod
    def now(cls) -> "ProcessUse":
        """Measure this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(_STATUS.read_text(encoding="ascii").split()[1])
        return cls(used.ru_utime + used.ru_stime, pages * resource.getpagesize())


class AgentCounters:
    """Counts calls and evidence. ``is_running`` and ``has_run`` tell whether an algorithm runs, and ever began to."""

    def __init__(self) -> None:
        self.is_running: Callable[[], bool] = lambda: False
        self.has_run: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()
        self._begun: _Numbers = Counter()
        self._ended: _Numbers = Counter()
        self._refusals: _Numbers = Counter()
        self._evidence: _Numbers = Counter()
        self._evidence_seconds = 0.0
        self._use = ProcessUse.now()

    def call_begun(self, method: str) -> None:
        """Count a call of a method that the agent has. Always counted: the peer decides it."""
        with self._lock:
            self._begun[method,] += 1

    def call_ended(self, method: str, outcome: CallOutcome, reason: str = "") -> None:
        """Count the end of a call; ``reason`` is that of a refusal."""
        with self._lock:
            if self.is_running():
                return
            self._ended[method, outcome.value] += 1
            if reason:
                self._refusals[reason,] += 1

    @contextlib.contextmanager
    def evidence(self) -> Generator[None]:
        """Count evidence that the block makes, or cannot make, and its time; not if an algorithm ran meanwhile."""
        beside_run = self.is_running()
        begun, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "made"
        finally:
            with self._lock:
                if not beside_run and not self.is_running():
                    self._evidence[outcome,] += 1
                    self._evidence_seconds += time.monotonic() - begun

    def sample(self) -> None:
        """Measure the process, unless a run has begun: from then on its use depends on the algorithm's result."""
        if not self.has_run():
            use = ProcessUse.now()
            with self._lock:
                self._use = use

    def families(self, gauges: Mapping[str, tuple[str, str, float]]) -> Iterator[MetricFamily]:
        """All metrics. ``gauges`` are those of others, by name: unit, help and value."""
        self.sample()
        with self._lock:
            recording = not self.is_running()
            yield _gauge("recording", "", "1, or 0 while an algorithm runs: outcomes are not recorded then", recording)
            for name, (unit, text, value) in gauges.items():
                yield _gauge(name, unit, text, value)
            yield _counter("calls", "Calls begun", ("method",), self._begun)
            yield _counter("calls_ended", "Calls that ended while no algorithm ran", ("method", "outcome"), self._ended)
            yield _counter("refusals", "Refused calls while no algorithm ran", ("reason",), self._refusals)
            yield _counter("evidence", "Evidence made, or not, while no algorithm ran", ("outcome",), self._evidence)
            total = self._evidence.total()
            yield MetricFamily(
                f"{_PREFIX}evidence_seconds",
                MetricType.SUMMARY,
                "Time to make evidence while no algorithm ran",
                {(): (total, self._evidence_seconds)},
                "seconds",
            )
            text = "CPU time of the agent, before a run began"
            yield MetricFamily("process_cpu_seconds", MetricType.COUNTER, text, {(): (self._use.cpu,)}, "seconds")
            text = "Resident memory of the agent, before a run began"
            yield MetricFamily(
                "process_resident_memory_bytes", MetricType.GAUGE, text, {(): (self._use.memory,)}, "bytes"
            )


def _gauge(name: str, unit: str, text: str, value: float) -> MetricFamily:
    return MetricFamily(_PREFIX + name, MetricType.GAUGE, text, {(): (value,)}, unit)


def _counter(name: str, text: str, labels: tuple[str, ...], numbers: _Numbers) -> MetricFamily:
    samples = {tuple(zip(labels, key, strict=True)): (float(number),) for key, number in numbers.items()}
    return MetricFamily(_PREFIX + name, MetricType.COUNTER, text, samples)
