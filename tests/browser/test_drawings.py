"""The committed pictures as a browser draws them: no text is cut off, leaves its box or lies on another."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.browser.chromium import visit
from tools.pictures.__main__ import pictures

PICTURES = sorted(pictures())
_FAULTS = """() => {
  const found = [];
  const area = document.querySelector('svg').getBoundingClientRect();
  const inside = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const less = a => ({left: a.left, right: a.right, top: a.top + 3, bottom: a.bottom - 3});
  const texts = [...document.querySelectorAll('text')].map(one => [one.textContent, one.getBoundingClientRect()]);
  const boxes = [...document.querySelectorAll('rect.box, rect.machine')].map(one => one.getBoundingClientRect());
  for (const [said, place] of texts) {
    if (!inside(place, area)) found.push(`${said}: outside of the picture`);
    const middle = {left: place.left + 1, right: place.left + 2, top: place.top + 8, bottom: place.top + 9};
    for (const box of boxes) if (inside(middle, box) && !inside(place, box)) found.push(`${said}: leaves its box`);
    for (const [other, there] of texts)
      if (said < other && meet(place, less(there)))
        found.push(`${said}: lies on ${other}`);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.running() as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_texts_of_a_picture_have_room(browser, tmp_path, path, scheme):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html lang='en'><body style='margin: 0'>{path.read_text()}</body></html>")
    with visit(browser, page, (1000, 700), scheme=scheme) as opened:
        chromium.keep_picture(opened, f"{path.stem}-{scheme}")
        assert opened.page.evaluate(_FAULTS) == []
        paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
        assert opened.style("rect.paper", "fill") == paper
        assert opened.requests == [page.as_uri()]
        assert opened.complaints == []
