"""The live page of a machine in a real browser: it follows the machine, and its address works once."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from cloister.client.page.machines import WatchedMachine
from cloister.protocol.manifest import Manifest
from tests.agent_fixture import running_agent
from tests.browser import chromium
from tests.browser.chromium import SIZES, visit
from tests.client.machine import Machine
from tests.client.page.browser import Browser as HttpBrowser
from tests.client.page.browser import serving, watched
from tests.client.parties import Parties

MACHINE = "trial/main/"


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    """A machine that waits for the assets of a manifest."""
    parties = Parties.make(tmp_path_factory.mktemp("parties"))
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        yield Machine.of(running, parties)


@pytest.fixture(scope="module")
def manifest(machine) -> Manifest:
    return machine.submit()


@pytest.fixture(scope="module")
def watching(machine, manifest) -> list[WatchedMachine]:
    return watched(machine, manifest)


@pytest.fixture(scope="module")
def page(machine, watching) -> Iterator[HttpBrowser]:
    """The page of a hospital, whose token was exchanged."""
    with serving(watching, machine.parties.keys["hospital-1"]) as served:
        served.enter()
        served.open(MACHINE + "live").until("Accepted")
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as running:
        yield running


def look_at(browser: Browser, page: HttpBrowser, path: str, size: str, scheme: str, **more: object):
    """The page in a browser that has the cookie."""
    name, _, value = page.cookie.partition("=")
    cookie = {"name": name, "value": value, "domain": "127.0.0.1", "path": page.root}
    address = f"http://127.0.0.1:{page.port}{page.root}{path}"
    return visit(browser, address, SIZES[size], scheme=scheme, cookies=[cookie], **more)


@pytest.mark.browser
def test_page_says_the_same_without_scripts(browser, page):
    texts = []
    for scripts in (True, False):
        with look_at(browser, page, f"{MACHINE}events?before=9", "desk", "light", scripts=scripts) as opened:
            texts.append(opened.text())
    assert texts[0] == texts[1]


def test_open_page_follows_the_machine(browser, page, machine, manifest):
    with look_at(browser, page, MACHINE, "desk", "light") as opened:
        opened.page.get_by_text("Receiving Algorithm").first.wait_for()
        machine.upload(manifest, manifest.algorithm.asset)
        opened.page.get_by_text("Receiving Data").first.wait_for()
        assert opened.complaints == []


def test_printed_address_works_once(browser, machine, manifest, watching):
    with serving(watching, machine.parties.keys["hospital-1"]) as served:
        with visit(browser, served.address) as opened:
            assert opened.page.url.endswith(MACHINE)
            assert opened.complaints == []
        with visit(browser, served.address) as opened:
            assert manifest.name not in opened.text()
