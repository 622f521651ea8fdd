"""Pages that change: their parts as they were rendered last, and the streams of changes to browsers."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping

from cloister.protocol import text

MAX_STREAMS = 32
"""Streams at one time. Each is a browser's page that is in view."""

BEAT_SECONDS = 5.0
"""Pause after which a stream says that it is alive. The script counts a page as lost after four of them."""

_SHORTEST = 0.5
"""Seconds between two messages of a stream, however fast things change."""


class LivePage:
    """The parts of one page, each with the version of the page in which it changed last.

    A version is ``EPOCH.NUMBER``: that of another process, or one that was made up, counts as none.
    """

    def __init__(self, render: Callable[[], tuple[str, Mapping[str, str]]]) -> None:
        """``render`` gives the title, and the parts as HTML."""
        self.title = ""
        self._render = render
        self._epoch = secrets.token_hex(8)
        self._number = 0
        self._parts: dict[str, tuple[int, str]] = {}
        self._rendered: tuple[int, float] | None = None

    @property
    def version(self) -> str:
        """The version of the page as it was rendered last."""
        return f"{self._epoch}.{self._number}"

    def refresh(self, change: int) -> None:
        """Render the parts again, unless that was done a moment ago and after the same ``change``."""
        now = time.monotonic()
        if self._rendered is not None and self._rendered[0] == change and now - self._rendered[1] < 1:
            return
        number = self._number + 1
        self.title, parts = self._render()
        for name, html in parts.items():
            if name not in self._parts or self._parts[name][1] != html:
                self._parts[name] = (number, html)
                self._number = number
        self._rendered = (change, now)

    def parts(self) -> dict[str, str]:
        """All parts as they were rendered last."""
        return {name: html for name, (_, html) in self._parts.items()}

    def since(self, version: str) -> dict[str, str]:
        """The parts that have changed since a version; all of them for a version that is unknown."""
        epoch, _, number = version.partition(".")
        known = (text.decimal(number, 12) or 0) if epoch == self._epoch else 0
        return {name: html for name, (changed, html) in self._parts.items() if changed > known}


class Hub:
    """Who is told about changes, and when it ends. ``notify`` and ``close`` may be called from anywhere, all else by
    the thread of the loop.
    """

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(32)
        """What every message has: a page believes only the process that made it."""
        self.change = 0
        """The number of changes so far."""
        self.closing = asyncio.Event()
        self._streams = 0
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Use the running loop."""
        self._loop = asyncio.get_running_loop()

    def notify(self) -> None:
        """Say that something has changed."""
        self._soon(self._wake)

    def close(self) -> None:
        """End all streams. A signal handler may call it."""
        self._soon(self.closing.set)
        self._soon(self._wake)

    def _soon(self, do: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(do)

    def _wake(self) -> None:
        self.change += 1
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    @contextlib.contextmanager
    def place(self) -> Generator[bool]:
        """A place for a stream; yields whether there was one."""
        free = self._streams < MAX_STREAMS and not self.closing.is_set()
        self._streams += free
        try:
            yield free
        finally:
            self._streams -= free

    async def messages(self, page: LivePage, version: str, looked: Callable[[], None]) -> AsyncGenerator[bytes]:
        """The messages of one stream, from a version of the page on. ``looked`` is called while someone looks."""
        beat = 0.0
        while True:
            changed = self._changed
            looked()
            page.refresh(self.change)
            if parts := page.since(version):
                version = page.version
                yield _message("parts", {"key": self.key, "title": page.title, "parts": parts}, version)
                beat = time.monotonic()
            elif time.monotonic() - beat >= BEAT_SECONDS:
                yield _message("beat", {"key": self.key})
                beat = time.monotonic()
            if self.closing.is_set():
                yield _message("end", {"key": self.key})
                return
            await _within(changed, BEAT_SECONDS)
            await _within(self.closing, _SHORTEST)


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _message(kind: str, value: object, version: str = "") -> bytes:
    """A message as browsers read it (HTML Living Standard, "Server-sent events"). JSON has no line breaks."""
    named = f"id: {version}\n" if version else ""
    return f"event: {kind}\n{named}data: {json.dumps(value)}\n\n".encode()
