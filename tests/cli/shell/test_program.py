"""The command also runs as a module, and Ctrl-C before a verb prints one line."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.program import Program

from cloister.cli import collection
from cloister.cli.shell import program

CHECKOUT = Path(__file__).resolve().parents[3]

# Runs the module of the first word as a program; Ctrl-C comes with the import of the module of the second.
INTERRUPTED = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)

module, wanted, *words = sys.argv[1:]
sys.argv[1:] = words
sys.meta_path.insert(0, Interrupting())
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def test_package_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "cloister", "no-such-verb"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert done.returncode == 2
    assert "`cloister --list` lists all verbs" in done.stderr


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ("attst", "There is no verb 'attst'.", "Did you mean `cloister attest`? "),
        ("keys --outptu a.pem", "keys has no option --outptu.", "Did you mean `--output`? "),
        (
            "keys --nothing-like-it",
            "keys has no option --nothing-like-it.",
            "`cloister keys --help` lists its options.",
        ),
        ("help", "There is no verb 'help'.", "`cloister --help` shows all verbs, `cloister --help VERB` explains one."),
    ],
)
def test_unknown_word_gets_the_most_similar_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str, hint: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["cloister", *words.split()])
    with pytest.raises(SystemExit) as ended:
        program.run(collection())
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith(f"Error: {said}\n{hint}")


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("cloister", "invoke.program"),
        ("cloister", "cloister.cli.verify_evidence"),
        ("invoke", "benchmarks.tasks"),
        ("invoke", "infra.registry.tasks"),
    ],
)
def test_ctrl_c_at_the_start_prints_one_line(module: str, wanted: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module, wanted, "--list"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, cwd=CHECKOUT)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nInterrupted.\n")


def test_ctrl_c_before_a_verb_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cloister", "--list"])
    monkeypatch.setattr(Program, "parse_cleanup", lambda self: os.kill(os.getpid(), signal.SIGINT))

    with pytest.raises(KeyboardInterrupt):
        program.run(collection())


PRINTED = re.compile(r"\{program\(\)\}[^{\n]*\{([^}]*)\}")
"""A command that a verb prints, with something in it that is not known before."""

PLAIN = {"one.token", "verb", "found[1]"}
"""Digits, and names of verbs."""


def test_every_command_that_a_verb_prints_can_be_copied_whatever_a_file_is_called() -> None:
    found = [
        (file.name, said)
        for file in sorted((CHECKOUT / "cloister" / "cli").rglob("*.py"))
        for said in PRINTED.findall(file.read_text())
        if said not in PLAIN
    ]
    assert {"export.py", "import_.py", "result.py", "rule.py"} <= {name for name, _ in found}
    assert [(name, said) for name, said in found if not said.startswith("names.quoted(")] == []
