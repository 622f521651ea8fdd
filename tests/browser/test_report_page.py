"""Reports in a real browser: nothing is cut off, nothing is loaded, everyone can read them, on any screen and on paper.

`make test` opens a few; `invoke test.browser` opens all, on every kind of screen and in both colour schemes.
"""

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from cloister.client.report import report
from image.inputs.browser import ensure
from tests.browser import chromium
from tests.browser.chromium import PAPER, SIZES, visit
from tests.client.html.markup import HOSTILE, TURNED
from tests.client.report.reported import LONG, Reported, many, poisoned, proven

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
PAGES = ("proven", "not-proven", "hostile", "long-names", "invisible", "many", "log", "log-with-names", "bad-log")
LOOKS = (("desk", "light"), ("desk", "dark"), ("phone", "light"), ("narrow", "dark"))
"""Size and colours; each size and each scheme is there."""

QUICK = {("proven", "desk", "light"), ("hostile", "narrow", "dark")}


_BAD = """<!doctype html><html><head><title>x</title></head><body style="background: #777">
<p style="width: 900px; color: #787878">too wide and grey</p><img src="other.png">
<div style="overflow-x: auto; width: 100px"><p style="width: 900px">y</p></div>
<table><tr><td style="max-width: 40px">algorithm</td><td>z</td></tr></table>
<script>console.error("no")</script></body></html>"""
"""A page that breaks every promise."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A file of each kind of report, and of what hostile parties can make of one."""
    folder = tmp_path_factory.mktemp("pages")
    made = Reported.make(tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("machine"))
    found = {name: folder / f"{name}.html" for name in PAGES}
    proof = proven(made)
    report.write_report(made.result, made.policy, found["proven"])
    report.write_report(made.waiting, made.policy, found["log"])
    report.write_report(made.waiting, made.policy, found["log-with-names"], manifest=made.manifest)
    broken = folder / "broken"
    broken.write_bytes(b"PK" + made.result.read_bytes())
    report.write_report(broken, made.policy, found["not-proven"])
    broken.write_text("{}\n")
    report.write_report(broken, made.policy, found["bad-log"])
    for name, said in (("hostile", HOSTILE), ("long-names", LONG), ("invisible", TURNED)):
        found[name].write_text(report.render(made.result, poisoned(proof, said), NOW))
    found["many"].write_text(report.render(made.result, many(proof), NOW))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as running:
        yield running


def cases() -> Iterator[object]:
    for page in PAGES:
        for size, scheme in LOOKS:
            quick = (page, size, scheme) in QUICK
            yield pytest.param(page, size, scheme, marks=() if quick else pytest.mark.browser)


def test_every_kind_of_page_is_named(pages):
    assert set(pages) == set(PAGES)
    assert {(page, size, scheme) for page in PAGES for size, scheme in LOOKS} >= QUICK


@pytest.mark.parametrize(("name", "size", "scheme"), list(cases()))
def test_page_is_readable_and_loads_nothing(browser, pages, name, size, scheme):
    with visit(browser, pages[name], SIZES[size], scheme=scheme) as opened:
        chromium.keep_picture(opened, f"{name}-{size}-{scheme}")
        assert opened.cut_off() == []
        assert opened.squeezed() == []
        dark = "rgb(20, 23, 26)"
        assert (opened.style("body", "backgroundColor") == dark) is (scheme == "dark")
        assert opened.violations() == []
        assert opened.complaints == []
        assert opened.requests == [pages[name].as_uri()]


@pytest.mark.parametrize(
    "name", [name if name == "proven" else pytest.param(name, marks=pytest.mark.browser) for name in PAGES]
)
def test_page_needs_no_script(browser, pages, name):
    with visit(browser, pages[name]) as with_scripts, visit(browser, pages[name], scripts=False) as without:
        assert without.text() == with_scripts.text()
        assert with_scripts.page.query_selector("script, noscript, template") is None


@pytest.mark.parametrize(
    "name", [name if name == "hostile" else pytest.param(name, marks=pytest.mark.browser) for name in PAGES]
)
def test_paper_has_everything(browser, pages, name, tmp_path):
    with visit(browser, pages[name], PAPER, scheme="dark", media="print") as opened:
        assert opened.clipped() == []
        assert opened.cut_off() == []
        assert opened.style("body", "backgroundColor") == "rgb(255, 255, 255)"
        text = opened.page.pdf(path=tmp_path / "page.pdf", format="A4")
        assert 1 <= len(re.findall(rb"/Type /Page\b", text)) <= (60 if name == "many" else 20)


def test_hostile_names_are_text(browser, pages):
    with visit(browser, pages["hostile"]) as opened:
        assert HOSTILE.replace("\n", " ") in opened.page.inner_text("h1")
        assert opened.page.query_selector("img, script, [onerror]") is None
        assert opened.complaints == []


@pytest.mark.browser
def test_a_page_that_breaks_each_promise_is_noticed(browser, tmp_path):
    """The checks above can fail."""
    page = tmp_path / "page.html"
    page.write_text(_BAD)
    with visit(browser, page, SIZES["phone"]) as opened:
        opened.page.wait_for_load_state("networkidle")
        found = "\n".join(opened.violations())
        assert [rule for rule in ("color-contrast", "html-has-lang", "image-alt") if rule not in found] == []
        assert opened.cut_off() != []
        assert opened.clipped() != []
        assert opened.squeezed() != []
        assert any("no" in said for said in opened.complaints)
        assert len(opened.requests) == 2


def test_the_browser_is_the_locked_one():
    said = subprocess.run([ensure(), "--version"], capture_output=True, check=True, text=True).stdout
    assert re.search(r"\d+\.\d+\.\d+\.\d+", said)
