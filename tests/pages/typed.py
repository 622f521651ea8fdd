"""Whether a verb takes the words of a command line, without running it."""

import sys

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser, ParserContext
from invoke.tasks import Task


def takes(task: Task, typed: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the task takes exactly these words: a program, a verb, and what follows."""
    # The verbs' arguments depend on how many words were typed.
    monkeypatch.setattr(sys, "argv", typed)
    context = ParserContext(name=typed[1], args=task.get_arguments())
    try:
        parsed = Parser(contexts=[context]).parse_argv(typed[1:])
    except ParseError:
        return False
    return not parsed.unparsed and [one.missing_positional_args for one in parsed if one.name] == [[]]
