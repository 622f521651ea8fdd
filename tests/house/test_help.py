"""The help of every verb ends with an example that the verb takes."""

import pytest

import tasks
from cloister import cli
from tests.pages.typed import takes

VERBS = {name: tasks.namespace[name] for name in sorted(tasks.namespace.task_names) if name != "guide"}
"""The guide is all examples."""
PARTY = set(cli.collection().task_names)


@pytest.mark.parametrize("name", VERBS)
def test_help_has_an_example_that_can_be_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = VERBS[name]
    said, _, example = (task.__doc__ or "").rpartition("\n\nExample: ")
    typed = example.split()

    assert said, f"Give the decorator of {name} an example."
    assert typed[0] == ("cloister" if name in PARTY else "invoke")
    assert tasks.namespace[typed[1]].body is task.body
    assert takes(task, typed, monkeypatch)
