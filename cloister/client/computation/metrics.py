"""The agent's own counters and its log, for owners."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cloister.client.connection.connection import Connection
from cloister.errors import ProofError

# OpenMetrics 1.0, section "ABNF", as far as the agent uses it.
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{([^\n]*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([a-zA-Z0-9_.-]*)"(?:,|\Z)')
_METADATA = re.compile(rf"# (?:TYPE|UNIT|HELP) {_NAME} [\x20-\x7e]+")
_END = "# EOF"


@dataclass(frozen=True)
class Sample:
    """One value: its name with the suffix of its type, and its labels."""

    name: str
    labels: tuple[tuple[str, str], ...]
    number: float

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        whole = self.number == int(self.number)
        return {"name": self.name, "labels": dict(self.labels), "value": int(self.number) if whole else self.number}


@dataclass(frozen=True)
class AgentMetrics:
    """What the agent says of itself; nothing proves it. ``text`` is OpenMetrics, ``log`` has one object for a line."""

    text: str
    samples: tuple[Sample, ...]
    log: tuple[dict[str, Any], ...]

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"version": 1, "metrics": [sample.value() for sample in self.samples], "log": list(self.log)}


def fetch_metrics(connection: Connection, *, log: bool = False) -> AgentMetrics:
    """Ask a CVM's agent for its counters.

    Args:
        connection: of an owner.
        log: also ask for the agent's log.

    Returns:
        The counters, as text and parsed.

    Raises:
        ProofError: the answer does not have the form that it must have.
        CloisterError: the policy rejects the CVM, the agent refuses, or no agent answers.
    """
    answer = connection.call(lambda session: session.metrics(log=log))
    return AgentMetrics(answer.metrics, tuple(_samples(answer.metrics)), tuple(_lines(answer.log)))


def _samples(text: str) -> Iterator[Sample]:
    *lines, end, rest = text.split("\n") if text.count("\n") else ["", "", "-"]
    if end != _END or rest:
        raise ProofError("The agent's metrics are not complete OpenMetrics.")
    for line in lines:
        if _METADATA.fullmatch(line):
            continue
        found = _SAMPLE.fullmatch(line)
        labels = tuple(_LABEL.findall(found[2] or "")) if found else ()
        if found is None or len(_LABEL.sub("", found[2] or "")) > 0:
            raise ProofError(f"The agent's metrics have a line that is not OpenMetrics: {line[:80]!r}.")
        number = float(found[3])
        if not math.isfinite(number):
            raise ProofError("The agent's metrics have a number that is too large.")
        yield Sample(found[1], labels, number)


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProofError("The agent's log has a line that is not JSON.") from error
        if not isinstance(value, dict):
            raise ProofError("The agent's log has a line that is not an object.")
        yield value
