"""The fenced blocks of the pages: each says what it is, and what is not run says why."""

from pathlib import Path

import pytest

import tasks
from cloister import cli
from tests.pages.markdown import AS, BEFORE, PAGES, REASONS, SHELL, blocks
from tests.pages.steps import STEPS
from tests.pages.typed import takes

LANGUAGES = {SHELL, "html", "json", "mermaid", "python", "text", "toml", "typescript", "yaml"}
PROGRAMS = ("cloister", "invoke", "make", "pulumi")
NAMESPACES = {"cloister": cli.collection(), "invoke": tasks.namespace}
MOST_MARKED = 0.2
SHELL_BLOCKS = [block for page in PAGES for block in blocks(page, SHELL)]


def test_every_block_has_a_known_language() -> None:
    found = [block.place for page in PAGES for block in blocks(page) if block.language not in LANGUAGES]
    assert found == [], (
        f"Give each block one of {sorted(LANGUAGES)}; commands are `{SHELL}`, what they print is `text`."
    )


def test_commands_are_in_blocks_of_the_shell() -> None:
    """In another language no test would run them."""
    others = [block for page in PAGES for block in blocks(page) if block.language == "text"]
    found = [
        block.place
        for block in others
        for line in block.text.splitlines()
        if line.removeprefix("$ ").split(" ")[0] in PROGRAMS
    ]
    assert found == []


def test_a_marked_block_says_why() -> None:
    assert [one.place for one in SHELL_BLOCKS if any(name in REASONS and not why for name, why in one.comments)] == []


def test_every_comment_before_a_block_is_known() -> None:
    known = {*REASONS, BEFORE, AS}
    assert [(block.place, name) for block in SHELL_BLOCKS for name, _ in block.comments if name not in known] == []
    said = [(block.place, one) for block in SHELL_BLOCKS for one in block.said(BEFORE)]
    assert [pair for pair in said if pair[1] not in STEPS] == []


def test_at_most_one_block_in_five_is_marked() -> None:
    marked = [block.place for block in SHELL_BLOCKS if block.marks]
    share = len(marked) / len(SHELL_BLOCKS)
    assert share <= MOST_MARKED, f"{len(marked)} of {len(SHELL_BLOCKS)} blocks: {marked}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_has_the_options_that_it_is_given(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no test runs it."""
    for block in blocks(page, SHELL):
        for program, verb, *words in block.commands(*NAMESPACES):
            if verb.startswith("-"):
                continue
            assert takes(NAMESPACES[program][verb], [program, verb, *words], monkeypatch), (block.place, verb, words)
