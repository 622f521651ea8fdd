"""What verbs print for programs may be read by people, on a terminal."""

import json

import pytest

from cloister.cli import show

SPEAKING = "Jos\u00e9 \u009b2J \u202e \x1b[1m \U000e0041 \U0001f600"


def test_facts_are_the_value_and_say_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": SPEAKING, "more": [1, True, None]}
    show.facts(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert "José" in said
    assert said.replace("\n", "").isprintable()
