"""The locked Chromium, driven by Playwright: one browser, and a new context for each visit.

Playwright, because it waits, emulates and records what a page loads; our own client of the DevTools protocol would be
the part that breaks with a new Chromium. Of its wheel only the driver is used: the browser is the locked one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from image.inputs.browser import ensure

SIZES = {"desk": (1280, 800), "phone": (360, 740), "narrow": (320, 640)}
"""Width and height; 320 is the width at which a page must still do without scrolling sideways (WCAG 2.2, 1.4.10)."""

PAPER = (718, 1047)
"""A4 within Chromium's usual margins of 1 cm, at 96 pixels per inch."""


@dataclass
class Visit:
    """A page that was opened, what it said on the console, and every address that it asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self) -> str:
        """What a reader sees."""
        return self.page.inner_text("body")

    def violations(self) -> list[str]:
        """What axe-core finds, one line for each element."""
        found = Axe().run(self.page).response
        return [
            f"{rule['id']}: {node['target']} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    def cut_off(self) -> list[str]:
        """Elements that reach beyond the right edge and cannot be scrolled to."""
        return self.page.evaluate(_CUT_OFF)

    def squeezed(self) -> list[str]:
        """Cells of tables that are too narrow for a word."""
        return self.page.evaluate(_SQUEEZED)

    def clipped(self) -> list[str]:
        """Elements that scroll sideways, which paper cannot."""
        return self.page.evaluate(_CLIPPED)

    def style(self, selector: str, name: str) -> str:
        """A computed style."""
        return self.page.eval_on_selector(selector, "(element, name) => getComputedStyle(element)[name]", name)


_CUT_OFF = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = element => element.closest('.scroll, svg') !== null;
  const found = [...document.body.querySelectorAll('*')].filter(
    element => !scrolls(element) && element.getBoundingClientRect().right > width + 1);
  if (document.documentElement.scrollWidth > width) found.push(document.documentElement);
  return found.map(element => element.outerHTML.slice(0, 120));
}"""
_SQUEEZED = """() => [...document.querySelectorAll('td, th[scope=row]')].filter(
  cell => cell.textContent.trim() && cell.getBoundingClientRect().width < 90
).map(cell => cell.outerHTML.slice(0, 120))"""
_CLIPPED = """() => [...document.body.querySelectorAll('*')].filter(
  element => getComputedStyle(element).overflowX !== 'visible' && element.scrollWidth > element.clientWidth
).map(element => element.outerHTML.slice(0, 120))"""


@contextmanager
def running() -> Iterator[Browser]:
    """The browser, until the end of the block."""
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=str(ensure()))
        try:
            yield made
        finally:
            made.close()


@contextmanager
def visit(
    browser: Browser,
    address: str | Path,
    size: tuple[int, int] = SIZES["desk"],
    *,
    scheme: str = "light",
    scripts: bool = True,
    media: str = "screen",
    cookies: Sequence[Any] = (),
) -> Iterator[Visit]:
    """Open a file or an address in a context of its own."""
    width, height = size
    options: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    context = browser.new_context(**options, java_script_enabled=scripts, reduced_motion="reduce")
    try:
        context.add_cookies(cookies)
        made = Visit(context.new_page())
        made.page.on("console", lambda message: made.complaints.append(message.text))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("dialog", lambda dialog: made.complaints.append(f"dialog {dialog.message}"))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.emulate_media(media=media, color_scheme=scheme)
        made.page.goto(address.as_uri() if isinstance(address, Path) else address)
        yield made
    finally:
        context.close()


def keep_picture(opened: Visit, name: str) -> None:
    """Leave a picture for a person in the folder that `invoke test.browser` names."""
    if folder := os.environ.get("CLOISTER_PICTURES"):
        opened.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
