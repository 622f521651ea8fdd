"""The page of modules says what the modules' docstrings say."""

from pathlib import Path

import pytest

from tools import modules_page
from tools.stubs import ROOT

MODULES = sorted(
    path
    for folder in modules_page.FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(ROOT / "cloister" / "v1")
)


def test_committed_page_equals_the_generated_one() -> None:
    assert modules_page.PAGE.read_text(encoding="utf-8") == modules_page.page(), "Run `python -m tools.modules_page`."


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is(module: Path) -> None:
    assert modules_page.sentence(module).endswith(".")


def test_summary_is_the_first_sentence_in_markdown(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""Reads ``a|b`` for\n:class:`Job`. And more.\n\nDetails."""\n')

    assert modules_page.sentence(module) == r"Reads `a\|b` for `Job`."
