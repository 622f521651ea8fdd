"""Verbs that wipe everything ask a user at a terminal first."""

import io
import sys

import pytest

from tests.cli.test_way import WHERE, as_party

VERBS = {
    "stop": (("--key", "lab.pem", *WHERE), "Stop the computation at"),
    "withdraw": (as_party("hospital-1"), "Withdraw your consent, and wipe everything of all parties at"),
    "reject": (as_party("hospital-1"), "Reject the result, and wipe everything of all parties at"),
    "reset": (("--key", "lab.pem", *WHERE), "Reset the machine at"),
}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["n\n", "\n", ""], ids=["no", "default", "closed"])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_wiped_without_a_yes(cloister, machine, parties, monkeypatch, verb, answer):
    monkeypatch.chdir(parties.folder)
    machine.submit()
    before = cloister("status", "--key", "lab.pem", *WHERE, "--json").out
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    words, question = VERBS[verb]

    done = cloister(verb, *words)

    assert (done.code, done.out) == (0, "")
    assert question in done.err
    assert "Nothing was changed." in done.err
    assert cloister("status", "--key", "lab.pem", *WHERE, "--json").out == before


@pytest.mark.parametrize(("words", "answer"), [((), "y\n"), (("--yes",), "")], ids=["asked", "option"])
def test_a_yes_wipes(cloister, machine, parties, monkeypatch, words, answer):
    monkeypatch.chdir(parties.folder)
    machine.submit()
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))

    done = cloister("stop", "--key", "lab.pem", *WHERE, *words)

    assert (done.code, "Stopped: the computation at" in done.out) == (0, True), done.err
