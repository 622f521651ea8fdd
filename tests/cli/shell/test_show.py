"""Neither JSON nor the output of a program has control characters."""

import json
import sys

import pytest

from cloister.cli.shell import show

SPEAKING = "Jos\u00e9 \u009b2J \u202e \x1b[1m \x7f \U000e0041 \U0001f600"


def test_json_has_the_value_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": SPEAKING, "more": [1, True, None]}
    show.facts(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert "José" in said
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("terminal", [True, False])
def test_signed_line_is_unchanged_but_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    line = json.dumps({"detail": {"reason": SPEAKING}}, ensure_ascii=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show.signed(line)
    said = capsys.readouterr().out.removesuffix("\n")
    assert json.loads(said) == json.loads(line)
    assert (said == line, said.isprintable()) == (not terminal, terminal)


@pytest.mark.parametrize("cut", range(len("é😀".encode()) + 1))
def test_character_of_a_program_that_arrives_in_two_pieces_is_whole(
    capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    printed = show.ProgramOutput()
    data = "é😀".encode()
    printed(data[:cut])
    printed(data[cut:])
    assert capsys.readouterr().out == "é😀"


def test_program_moves_no_cursor_but_by_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    for keep in ("\n\t", "\n\t\r"):
        show.ProgramOutput(keep)(b"a\r\x1b[1m\t\n")
    assert capsys.readouterr().out == "a\ufffd\ufffd[1m\t\na\r\ufffd[1m\t\n"
