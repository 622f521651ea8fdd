"""The pages and their streams, as a Starlette application."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cloister.client.html import templates
from cloister.client.page.live import Hub, LivePage
from cloister.client.page.view import MachineView, view
from cloister.client.page.watcher import Watcher
from cloister.client.waiting.next_steps import StepReader
from cloister.protocol import text

SECTIONS = {
    "todo": "What is missing, and who has to do it",
    "transfer": "Transfer",
    "people": "Who takes part",
    "timeline": "Timeline",
    "results": "Results, and who fetched them",
    "verdict": "Verdict",
    "machine": "The machine",
}
"""Parts of a machine's page with their headings, in order. ``state`` and ``fresh`` are before them."""

_PAGE = 500
"""Events on a page of earlier ones."""

_SEND_SECONDS = 30.0
"""How long a browser may take to receive one message."""

_ROOM = "page"
_FOLDER = "templates"


class Pages:
    """The pages of all watched machines, below ``root``."""

    def __init__(self, watchers: Sequence[Watcher], reader: StepReader, hub: Hub, root: str) -> None:
        self._reader = reader
        self._hub = hub
        self._root = root
        self._watchers = {self._view(one).path: one for one in watchers}
        self._machines = {path: self._machine_page(one) for path, one in self._watchers.items()}
        self._overview = LivePage(self._rows)
        for page in (self._overview, *self._machines.values()):
            page.refresh(0)  # which compiles the templates before someone waits for them

    def _view(self, watcher: Watcher) -> MachineView:
        return view(watcher, self._reader, time.monotonic())

    def _machine_page(self, watcher: Watcher) -> LivePage:
        def render() -> tuple[str, dict[str, str]]:
            shown = self._view(watcher)
            title = text.printable(f"{shown.state_mark.text}: {shown.title}")
            return title, _rendered(("state", "fresh", *SECTIONS), shown)

        return LivePage(render)

    def _rows(self) -> tuple[str, dict[str, str]]:
        shown = [self._view(watcher) for watcher in self._watchers.values()]
        return "Machines", {f"machine-{index}": _rendered(("row",), one)["row"] for index, one in enumerate(shown)}

    async def overview(self, request: Request) -> Response:
        """All machines; with only one, its page."""
        if len(self._watchers) == 1:
            return RedirectResponse(self._root + next(iter(self._watchers)), 303)
        self._look(None)
        return self._page("overview.html.j2", self._overview, {})

    async def machine(self, request: Request) -> Response:
        """One machine."""
        path = _path(request)
        watcher = self._watchers.get(path)
        if watcher is None:
            return _unknown()
        self._look(watcher)
        values = {"view": self._view(watcher), "sections": list(SECTIONS.items())}
        return self._page("machine.html.j2", self._machines[path], values)

    async def events(self, request: Request) -> Response:
        """Earlier events of one machine."""
        watcher = self._watchers.get(_path(request))
        before = text.decimal(request.query_params.get("before", ""), 9)
        if watcher is None or before is None:
            return _unknown()
        shown, window = self._view(watcher), watcher.snapshot.events
        found = window.newest(_PAGE, before)
        lowest = found[-1][0] if found else 0
        values = {"view": shown, "events": found, "older": lowest if lowest > window.first else 0}
        given = {"title": f"Events: {shown.title}", "live": False, "version": "", "cut": window.first > 0}
        return self._html("events.html.j2", {**given, **values})

    async def live(self, request: Request) -> Response:
        """The stream of a machine's page, or of the overview."""
        path = _path(request)
        watcher = self._watchers.get(path)
        if path and watcher is None:
            return _unknown()
        page = self._machines[path] if path else self._overview
        version = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return _Stream(self._hub, page, version[:64], lambda: self._look(watcher))

    def _page(self, name: str, page: LivePage, values: Mapping[str, object]) -> Response:
        page.refresh(self._hub.change)
        return self._html(
            name, {"title": page.title, "live": True, "version": page.version, "parts": page.parts(), **values}
        )

    def _html(self, name: str, values: Mapping[str, object]) -> Response:
        shared = {"root": self._root, "key": self._hub.key, "style": style()}
        return HTMLResponse(templates.template(_ROOM, f"{_FOLDER}/{name}").render({**shared, **values}))

    def _look(self, watcher: Watcher | None) -> None:
        for one in self._watchers.values() if watcher is None else (watcher,):
            one.look()


class _Stream(Response):
    """A stream of messages, until the browser goes or the server ends."""

    def __init__(self, hub: Hub, page: LivePage, version: str, looked: Callable[[], None]) -> None:
        self._hub = hub
        self._page = page
        self._version = version
        self._looked = looked
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._hub.place() as free:
            if not free:
                await PlainTextResponse("Too many pages are open.\n", 503)(scope, receive, send)
                return
            sending = asyncio.ensure_future(self._send(send))
            gone = asyncio.ensure_future(_gone(receive))
            closing = asyncio.ensure_future(self._hub.closing.wait())
            tasks = (sending, gone, closing)
            try:
                await asyncio.wait({sending, gone, closing}, return_when=asyncio.FIRST_COMPLETED)
                if closing.done():
                    # One that still receives is told that it is the end.
                    await asyncio.wait({sending, gone}, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with contextlib.aclosing(self._hub.messages(self._page, self._version, self._looked)) as messages:
            async for message in messages:
                sent = send({"type": "http.response.body", "body": message, "more_body": True})
                await asyncio.wait_for(sent, _SEND_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@functools.cache
def style() -> str:
    """The style of all pages, as it is in them."""
    macros: Any = templates.template(_ROOM, f"{_FOLDER}/style.html.j2").module
    return macros.style()


def application(watchers: Sequence[Watcher], reader: StepReader, hub: Hub, root: str) -> Starlette:
    """The pages below ``root``."""
    pages = Pages(watchers, reader, hub, root)
    machine = "{workspace}/{cvm}/"
    answers: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "": pages.overview,
        "live": pages.live,
        "page.js": _file("text/javascript", templates.read(_ROOM, f"{_FOLDER}/page.js")),
        "icon.svg": _file("image/svg+xml", templates.read(_ROOM, f"{_FOLDER}/icon.svg")),
        machine: pages.machine,
        f"{machine}events": pages.events,
        f"{machine}live": pages.live,
    }
    routes = [Route(root + path, answer, methods=["GET"]) for path, answer in answers.items()]
    made = Starlette(routes=routes, exception_handlers={Exception: _failed})
    made.router.redirect_slashes = False
    return made


def _rendered(names: Sequence[str], shown: MachineView) -> dict[str, str]:
    """Parts of a machine's page as HTML."""
    macros: Any = templates.template(_ROOM, f"{_FOLDER}/parts.html.j2").module
    return {name: getattr(macros, name)(shown) for name in names}


def _file(kind: str, content: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})

    return answer


def _path(request: Request) -> str:
    """The path of a machine's page, as its view names it; empty for the overview."""
    found = request.path_params
    return f"{found['workspace']}/{found['cvm']}/" if found else ""


def _unknown() -> Response:
    return PlainTextResponse("There is no such page.\n", 404)


async def _failed(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"Cloister failed to make this page ({type(error).__name__}).\n", 500)
