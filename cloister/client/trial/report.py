"""The report of a trial: outcome, use, results, and the limits that a manifest should have."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from cloister.client.computation.timeline import REASONS
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, Output, Sentences, TextTable, one_line
from cloister.client.script.failure import OutputEnd
from cloister.protocol import text
from cloister.protocol.manifest import Manifest
from cloister.units import format_size, round_up

_MIB = 1024 * 1024
OK = "OK"

TRIAL_NOTICE = "This is a trial: it shows what a machine would do, and protects nothing. Use harmless data only."
"""What each report of a trial says first and last."""

LOOSE = {
    "memory": "memory: measured 50 times a second, so a run can exceed it for a moment before it is ended",
    "cpus": "cpus: the run sees this many CPUs of this machine, instead of a share of all",
    "page cache": "page cache: files that the run reads are not counted as memory",
    "unnamed memory": "unnamed memory: of memfd_create and of System V, only what a process has mapped is counted",
}
"""What does not hold exactly without a delegated cgroup, by name."""


@dataclass(frozen=True)
class TrialFile:
    """A file in ``results/``: its name, printable, and bytes."""

    name: str
    size: int


@dataclass(frozen=True, repr=False)
class TrialReport:
    """How a run ended and what it used. Sizes are in bytes."""

    outcome: str
    """As the machine would report it: ``OK``, ``EXIT_STATUS``, ``TIME_LIMIT``, ..."""

    seconds: float
    """From the start of the sandbox to its end."""

    memory: int
    """Peak of what a machine counts: processes and files in memory, unpacked datasets and results among them."""

    memory_limit: int
    """What a machine would allow: ``limits.memory``, and room for unpacked datasets and results."""

    processes: int
    """Peak number of processes and threads."""

    printed: int
    """Bytes that the algorithm printed."""

    output: bytes
    """What the log's readers would get: up to ``logs.max``, and why a result is not accepted."""

    results: tuple[TrialFile, ...]
    """The files in ``results/``, sorted by name."""

    suggested: Mapping[str, str]
    """Limits for the manifest, by name, rounded up."""

    not_enforced: tuple[str, ...]
    """The limits that did not hold exactly, as sentences."""

    advice: tuple[str, ...] = ()
    """What to do about a failure that the output shows, as sentences."""

    notes: tuple[str, ...] = ()
    """What the author should read about the manifest."""

    warnings: tuple[str, ...] = ()
    """What may fail on a machine."""

    @property
    def ok(self) -> bool:
        """Whether a machine would hand out the results."""
        return self.outcome == OK

    @property
    def reason(self) -> str:
        """The outcome in words."""
        return "a machine would hand out the results" if self.ok else REASONS[self.outcome]

    def told(self, notes: Sequence[str], warnings: Sequence[str]) -> Self:
        """The same with what was said of the manifest before the run."""
        return replace(self, notes=tuple(notes), warnings=tuple(warnings))

    def facts(self) -> Iterator[tuple[str, str]]:
        """The outcome and the use, each with its name."""
        kept = "" if self.printed <= len(self.output) else f"; a machine keeps the first {len(self.output)}"
        yield "Outcome", f"{self.outcome}: {self.reason}"
        yield from (("", one) for one in self.advice)
        yield "Time", f"{self.seconds:.1f} s"
        yield (
            "Memory",
            f"{format_size(self.memory)} at its peak, of {format_size(self.memory_limit)} "
            "(limits.memory, unpacked datasets and results)",
        )
        yield "Processes", f"{self.processes} at their peak"
        yield "Printed", f"{self.printed} bytes{kept}"
        yield "Results", f"{len(self.results)} {'file' if len(self.results) == 1 else 'files'}"

    def limits_title(self) -> str:
        """What the suggested limits are."""
        if self.ok:
            return "Limits to start from, with a margin; real data need more if they are larger:"
        return "Limits for what the run did until it ended (a complete run may need more):"

    def __repr__(self) -> str:
        return one_line(f"TrialReport {self.outcome}: {self.reason}")

    def _repr_html_(self) -> str:
        columns = (("Result", "text"), ("Size", "text"))
        results = TextTable.of(
            columns, [(one.name, format_size(one.size)) for one in self.results], more="further files"
        )
        return fragment(
            f"Trial: {self.reason}",
            Facts.of(self.facts()),
            *((results,) if self.results else ()),
            Sentences(tuple(f"{name}: {value}" for name, value in self.suggested.items()), self.limits_title()),
            *((Sentences(self.not_enforced, "Not enforced as on a machine:"),) if self.not_enforced else ()),
            *((Output(self.output.decode("utf-8", "replace")),) if self.output else ()),
            *((Sentences(self.notes, "Notes"),) if self.notes else ()),
            Sentences((*self.warnings, TRIAL_NOTICE), warning=True),
            accepted=self.ok,
        )

    @classmethod
    def from_answer(cls, answer: dict[str, Any], manifest: Manifest, printed: OutputEnd) -> Self:
        """From the report of the program in the tree, and the end of what the algorithm ``printed``.

        Raises KeyError, TypeError or ValueError for a malformed one.
        """
        if answer["outcome"] != OK and answer["outcome"] not in REASONS:
            raise ValueError("unknown outcome")
        results = tuple(
            TrialFile(text.printable(os.fsdecode(bytes.fromhex(name))), size) for name, size in answer["results"]
        )
        memory = answer["memory"]
        return cls(
            outcome=answer["outcome"],
            seconds=answer["seconds"],
            memory=memory,
            memory_limit=answer["memory_limit"],
            processes=answer["processes"],
            printed=answer["printed"],
            output=bytes.fromhex(answer["output"]),
            results=results,
            suggested=_suggest(answer, memory, manifest),
            not_enforced=() if answer["cgroup"] else tuple(LOOSE.values()),
            advice=() if answer["outcome"] == OK else printed.advice(),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "advice": list(self.advice),
            "seconds": round(self.seconds, 3),
            "memory": self.memory,
            "memory_limit": self.memory_limit,
            "processes": self.processes,
            "printed": self.printed,
            "output": self.output.decode("utf-8", "replace"),
            "results": {file.name: file.size for file in self.results},
            "suggested": dict(self.suggested),
            "not_enforced": list(self.not_enforced),
            "notice": TRIAL_NOTICE,
        }


def _suggest(answer: dict[str, Any], memory: int, manifest: Manifest) -> dict[str, str]:
    """Limits with a margin: a machine is slower, and the real data are larger than the mock ones."""
    total = sum(size for _, size in answer["results"])
    own = max(0, memory - answer["unpacked"] - total)
    return {
        "limits.time": _duration(3 * answer["seconds"]),
        "limits.memory": round_up(own * 3 // 2, 64 * _MIB),
        "limits.cpus": str(manifest.limits.cpus),
        "limits.processes": str(max(16, 2 * answer["processes"])),
        "results.max": round_up(total * 2, 64 * 1024),
        "logs.max": round_up(answer["printed"] * 2, 4096),
    }


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60 + 1
    return f"{minutes}m" if minutes < 60 else f"{-(-minutes // 60)}h"
