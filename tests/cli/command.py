"""The command ``cloister`` as a party types it, in this process."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke.program import Program

from cloister.cli import collection
from tests import output_schema


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str
    """Without what was noted as accepted for the first time."""
    noted: str


Cloister = Callable[..., Done]

_LOG = re.compile(r'\{"time": "[^"]*", "uptime": \d+, ')
"""A line of an agent's log: the agent of a test runs in the same process."""


NOTE = "Note: Accepted for the first time in the workspace "


def runner(capsys: pytest.CaptureFixture[str]) -> Cloister:
    """A function that runs one command: ``cloister("keys", "--output", path)``."""

    def cloister(*words: str | Path) -> Done:
        capsys.readouterr()
        code = 0
        before = sys.argv
        sys.argv = ["cloister", *map(str, words)]  # which verbs of many words look at
        try:
            program = Program(name="Cloister", binary="cloister", version="0", namespace=collection())
            program.run(list(sys.argv))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        finally:
            sys.argv = before
        said = capsys.readouterr()
        printed = "".join(line for line in said.out.splitlines(keepends=True) if not _LOG.match(line))
        if "--json" in words and printed:
            output_schema.validate(str(words[0]), printed)
        lines = said.err.splitlines(keepends=True)
        noted = [line for line in lines if line.startswith(NOTE)]
        return Done(code, printed, "".join(line for line in lines if line not in noted), "".join(noted))

    return cloister
