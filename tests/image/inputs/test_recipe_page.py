"""docs/recipe.md names every key of a recipe, and no other."""

import re
from collections import defaultdict
from typing import Any

import pytest

from image.inputs import recipe
from image.inputs.table import Table
from tools.stubs import ROOT

PAGE = ROOT / "docs" / "recipe.md"
TOP = "At the top"
FREE = {"kernel: needed", "kernel: initrd_needed"}
"""Tables whose keys are names that the guest's scripts choose."""


def documented() -> dict[str, set[str]]:
    """The keys in the first columns, by the section's table: ``debian``, ``debian.handled``; the top is empty."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        keys = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        if keys:
            found["" if title == TOP else title.strip("`[]")] = keys
    return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The keys that the code asks for while it reads the recipe ``debug``, by table."""
    found: dict[str, set[str]] = defaultdict(set)
    take = Table.take

    def recording(self: Table, key: str, *rest: Any) -> Any:
        place = re.sub(r"\[\d+\]", "", self._name).partition(".toml")[2].removeprefix(": ")
        if place not in FREE:
            found[place.replace(": ", ".")].add(key)
        return take(self, key, *rest)

    monkeypatch.setattr(Table, "take", recording)
    recipe.load("debug")
    return found


def test_page_and_code_have_the_same_keys(read: dict[str, set[str]]) -> None:
    tables = {"debian", "wheels", "kernel", "users", "files", "agent"}
    written = documented()
    written[""] = written[""] - {"extends"}  # merging takes it before a table is read
    assert read[""] - tables == written[""]
    assert {table: keys for table, keys in read.items() if table} == {
        table: keys for table, keys in written.items() if table
    }


def test_every_table_has_a_section() -> None:
    titles = re.findall(r"^## `\[+([\w.]+)\]+`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert titles == ["debian", "debian.handled", "wheels", "kernel", "users", "files", "agent"]
