"""The live page in a real browser: it follows, it can be read everywhere, and nothing in it comes from elsewhere.

`make test` opens a few; `invoke test.browser` opens all, in every size and both colour schemes.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect

from cloister.client.page.watcher import Contact, Watcher
from tests.browser import chromium
from tests.browser.chromium import SIZES, visit
from tests.client.html.markup import HOSTILE, TURNED
from tests.client.page.browser import serving
from tests.client.page.told import machine_of, poison, told, verdict_on
from tests.client.parties import Parties
from tests.client.report.reported import LONG

# Only what Playwright's locators wait for: its wait_for_function needs eval, which the page's policy forbids.


def rejected(watcher: Watcher):
    """What is shown of a machine that the policy rejects."""
    found = told(watcher)
    verdict = verdict_on(watcher.machine, accepted=False)
    return dataclasses.replace(found, contact=Contact.REJECTED, problem="Rejected.", verdict=verdict, status=None)


def silent(watcher: Watcher):
    """What is shown of a machine that does not answer any longer."""
    return dataclasses.replace(told(watcher), contact=Contact.SILENT, problem="No answer.", hint="Try again.")


def poisoned(name):
    """What hostile parties and machines can make of a page."""
    return lambda watcher: watcher.snapshot if watcher.snapshot.status is not None else poison(watcher, name)


TOLD = {
    "told": told,
    "rejected": rejected,
    "silent": silent,
    "hostile": poisoned(HOSTILE),
    "long-names": poisoned(LONG),
    "invisible": poisoned(TURNED),
}
PLACES = ("trial/main/", "", "trial/main/events?before=5")
QUICK = {("told", "trial/main/", "desk", "light"), ("hostile", "trial/main/", "phone", "dark")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as running:
        yield running


@pytest.fixture(scope="module")
def parties(tmp_path_factory) -> Parties:
    return Parties.make(tmp_path_factory.mktemp("parties"))


@contextmanager
def opened(browser, parties, tell, place="trial/main/", size="desk", scheme="light"):
    """Serve two machines, and open a page of theirs: yields the visit and the server."""
    one = machine_of(parties)
    other = dataclasses.replace(one, workspace="second")
    with (
        serving([one, other], parties.keys["lab"], tell=tell) as server,
        visit(browser, server.address, SIZES[size], scheme=scheme) as seen,
    ):
        seen.page.goto(f"http://127.0.0.1:{server.port}{server.root}{place}")
        if "events" not in place:
            expect(seen.page.locator("#connection")).to_have_text("Updates itself.")
            expect(seen.page.locator("main")).not_to_contain_text("asked for the first time")
        yield seen, server


def cases() -> Iterator[object]:
    for name in TOLD:
        for place in PLACES:
            for size in SIZES:
                for scheme in ("light", "dark"):
                    quick = (name, place, size, scheme) in QUICK
                    yield pytest.param(name, place, size, scheme, marks=() if quick else pytest.mark.browser)


@pytest.mark.parametrize(("name", "place", "size", "scheme"), list(cases()))
def test_page_is_readable_and_loads_its_own_files_only(browser, parties, name, place, size, scheme):
    with opened(browser, parties, TOLD[name], place, size, scheme) as (seen, server):
        kind = place.split("/")[-1].split("?")[0] or ("machine" if place else "overview")
        chromium.keep_picture(seen, f"live-{name}-{kind}-{size}-{scheme}")
        assert seen.cut_off() == []
        assert seen.squeezed() == []
        assert seen.violations() == []
        assert seen.complaints == []
        assert {url.split("/", 3)[2] for url in seen.requests} == {f"127.0.0.1:{server.port}"}
        assert seen.page.query_selector("img, iframe, [onerror]") is None
        (script,) = seen.page.query_selector_all("script") or [None]
        assert script is None or script.get_attribute("src").endswith("/page.js")


def test_open_page_follows_and_turns_grey_when_its_process_ends(browser, parties):
    now = [told]

    def tell(watcher: Watcher):
        return now[0](watcher)

    with opened(browser, parties, tell) as (seen, server):
        page = seen.page
        button = page.get_by_role("button", name="Copy the command cloister review")
        button.first.focus()
        assert page.title() == "Receiving Data (0 of 1): covid19"
        now[0] = silent
        expect(page.locator("#state")).to_contain_text("Not verified now")
        assert page.query_selector(".good") is None
        assert page.query_selector("pre.command") is None
        now[0] = told
        expect(page.locator("#state .good")).to_have_count(1)
        good = "getComputedStyle(document.querySelector('#state .good')).color"
        before = page.evaluate(good)
        server.server.stop()
        expect(page.locator("#connection")).to_contain_text("has ended")
        assert page.evaluate(good) != before
        assert seen.complaints == []


@pytest.mark.browser
def test_another_process_at_the_same_port_is_not_believed(browser, parties):
    with opened(browser, parties, told) as (seen, server):
        server.server._hub.key = "of another process"
        server.server._hub.notify()
        expect(seen.page.locator("#connection")).to_contain_text("something else", timeout=20_000)


@pytest.mark.browser
def test_script_that_a_name_would_smuggle_in_does_not_run(browser, parties):
    """The content security policy by itself: also markup that is in the page runs nothing."""
    with opened(browser, parties, told) as (seen, _):
        with pytest.raises(Exception, match="TrustedHTML"):
            seen.page.evaluate("document.body.innerHTML = '<img src=x onerror=alert(1)>'")
        inserted = "const s = document.createElement('img'); s.src = 'https://example.org/x'; document.body.append(s)"
        seen.page.evaluate(inserted)
        expect(seen.page.locator("img")).to_have_count(1)
        assert any("Content Security Policy" in said for said in seen.complaints)
        assert not any("dialog" in said for said in seen.complaints)


def test_page_can_be_used_with_the_keyboard_and_copies_commands(browser, parties):
    with opened(browser, parties, told) as (seen, _):
        page = seen.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.tagName") == "BUTTON":
                break
        command = page.evaluate("document.activeElement.previousElementSibling.textContent")
        page.keyboard.press("Enter")
        expect(page.locator("button", has_text="Copied")).to_have_count(1)
        assert page.evaluate("navigator.clipboard.readText()") == command
        assert command.startswith("cloister ")
