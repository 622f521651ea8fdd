"""What a reader types from a page works, in the order of the page."""

from pathlib import Path

import pytest

from tests.pages.markdown import PAGES, SHELL, blocks
from tests.pages.steps import STEPS
from tests.pages.world import world

ELSEWHERE = {
    "own-image": "tests/e2e/image/test_flavors.py",
    "verify-it-yourself": "tests/e2e/image/test_verify_it_yourself.py",
}
"""Pages whose commands need a built image, and the test that runs them."""

RUN = [page for page in PAGES if page.stem not in ELSEWHERE and any(not block.marks for block in blocks(page, SHELL))]


def is_read_first(page: Path) -> bool:
    """Whether ``make test`` runs its commands, too."""
    return page.stem in ("README", "for-data-stewards")


FIRST, OTHERS = ([page for page in RUN if is_read_first(page) is first] for first in (True, False))


@pytest.mark.engine
@pytest.mark.parametrize("page", FIRST, ids=lambda page: page.stem)
def test_commands_of_a_page_for_everyone_work(page: Path, tmp_path: Path) -> None:
    type_all(page, tmp_path)


@pytest.mark.pages
@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    type_all(page, tmp_path)


def type_all(page: Path, folder: Path) -> None:
    """Run the commands of a page in order."""
    with world(folder, STEPS) as reader:
        for block in blocks(page, SHELL):
            if not block.marks:
                reader.run(block)
