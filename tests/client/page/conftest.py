"""A page of one machine, and the browser that has entered it."""

from collections.abc import Iterator

import pytest

from tests.client.page.browser import Browser, serving, watched


@pytest.fixture
def page(machine) -> Iterator[Browser]:
    """The lab's page of its machine, after the token was exchanged."""
    with serving(watched(machine), machine.parties.keys["lab"]) as browser:
        browser.enter()
        yield browser
