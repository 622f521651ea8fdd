"""The live page of a machine with 10,000 events, against a static file of the same bytes.

An agent in a process of its own has the log; the page's process reads and verifies it, as a party types it.
"""

import contextlib
import functools
import http.client
import http.server
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult

EVENTS = 10_000
_READ_SECONDS = 120
_MEASURED = 50
"""Requests of one run, of which the median counts: one takes milliseconds."""


def measure(repeat: int) -> list[BenchmarkResult]:
    """Time from the request to the last byte, warm, and the memory of the page's process."""
    with tempfile.TemporaryDirectory() as name, _machine(Path(name)) as workspace, _page(Path(name), workspace) as page:
        body, read = page.when_read()
        with _static(page, body) as port:
            host = f"127.0.0.1:{port}"
            runs = [(_median(page.get), _median(lambda: _get(host, page.path, {}))) for _ in range(repeat)]
            paints = _first_paints(page, host, repeat)
        memory = _memory(page.process)
    how = f"`cloister page` of a machine with {EVENTS:,} events, {len(body) // 1000} kB of HTML; request to last byte"
    return [
        *paints,
        BenchmarkResult("the page from its server", tuple(page for page, _ in runs), "ms", None, how),
        BenchmarkResult(
            "the same against a static file",
            tuple(page / file for page, file in runs),
            "x",
            None,
            "the same bytes by Python's http.server, in turns",
        ),
        BenchmarkResult(
            "reading and verifying those events", (read,), "s", None, "from the start of the page's process"
        ),
        BenchmarkResult("memory of the page's process", (memory,), "MB", None, "resident, after that"),
    ]


def _median(get: Callable[[], object]) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(_MEASURED):
        began = time.perf_counter()
        get()
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)[len(taken) // 2]


class _Page:
    """The page's process, and a browser that has entered it."""

    def __init__(self, process: "subprocess.Popen[str]", began: float) -> None:
        self.process = process
        self._began = began
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"http://\S+", line)
        if found is None:
            raise BenchmarkError(f"The page did not start: {line}")
        address = urlsplit(found[0])
        self.host = address.netloc
        self.root = address.path.removesuffix("enter")
        answer = _get(self.host, f"{address.path}?{address.query}", {})
        self._headers = {"Cookie": (answer[1] or "").split(";")[0]}

        self.path = f"{self.root}trial/main/"

    def get(self, name: str = "") -> bytes:
        """The page of the machine, or a file by its path."""
        return _get(self.host, name or self.path, self._headers)[0]

    def cookie(self) -> dict[str, str]:
        """The cookie, as Playwright takes it."""
        name, _, value = self._headers["Cookie"].partition("=")
        return {"name": name, "value": value, "domain": "127.0.0.1", "path": self.root}

    def when_read(self) -> tuple[bytes, float]:
        """The page once all events have been read, and the seconds until then."""
        while time.monotonic() - self._began < _READ_SECONDS:
            body = self.get()
            if (found := re.search(rb">(\d+) events\. Each is verified", body)) and int(found[1]) >= EVENTS:
                return body, time.monotonic() - self._began
            time.sleep(0.2)
        raise BenchmarkError(f"The page had not read {EVENTS} events after {_READ_SECONDS} s.")


def _get(host: str, path: str, headers: dict[str, str]) -> tuple[bytes, str | None]:
    connection = http.client.HTTPConnection(host, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.read(), answer.getheader("Set-Cookie")


@contextlib.contextmanager
def _machine(folder: Path) -> Iterator[Path]:
    """An agent with a long log; yields the workspace descriptor."""
    command = [sys.executable, "-m", "benchmarks.long_log", str(folder), str(EVENTS)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                raise BenchmarkError("The agent did not start.")
            yield Path(json.loads(said)["workspace"])
        finally:
            if process.stdin is not None:
                process.stdin.close()


@contextlib.contextmanager
def _page(folder: Path, workspace: Path) -> Iterator[_Page]:
    files = {"key": folder / "lab.pem", "policy": folder / "policy.json", "workspace": workspace}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    began = time.monotonic()
    command = [sys.executable, "-m", "cloister", "page", *options]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Page(process, began)
        finally:
            process.terminate()


@contextlib.contextmanager
def _static(page: _Page, body: bytes) -> Iterator[int]:
    """Python's own server with the same files at the same paths; yields its port."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / page.path.strip("/")
        folder.mkdir(parents=True)
        (folder / "index.html").write_bytes(body)
        for file in ("page.js", "icon.svg"):
            (Path(name) / page.root.strip("/") / file).write_bytes(page.get(page.root + file))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_QuietFiles, directory=name))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


class _QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _first_paints(page: _Page, host: str, repeat: int) -> list[BenchmarkResult]:
    """The first paint in the locked Chromium, whose cache is empty each time; nothing without Playwright."""
    if importlib.util.find_spec("playwright") is None:
        return []
    from playwright.sync_api import Browser, sync_playwright

    from image.inputs.browser import ensure

    def paint(browser: Browser, address: str) -> float:
        context = browser.new_context()
        try:
            context.add_cookies([page.cookie()])  # ty: ignore[invalid-argument-type]
            opened = context.new_page()
            opened.goto(address)
            return opened.evaluate(_FIRST_PAINT)
        finally:
            context.close()

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(ensure()))
        both = [f"http://{one}{page.path}" for one in (page.host, host)]
        for address in both:
            paint(browser, address)
        runs = [(paint(browser, both[0]), paint(browser, both[1])) for _ in range(repeat)]
        browser.close()
    how = "the locked Chromium, empty cache, after one that does not count"
    return [
        BenchmarkResult("first paint of the live page of 10,000 events", tuple(one for one, _ in runs), "ms", 300, how),
        BenchmarkResult(
            "the same against static files", tuple(one / file for one, file in runs), "x", 2, f"{how}; in turns"
        ),
    ]


_FIRST_PAINT = """() => new Promise(found => {
  const said = list => list.filter(one => one.name === "first-paint").forEach(one => found(one.startTime));
  new PerformanceObserver(list => said(list.getEntries())).observe({type: "paint", buffered: true});
})"""


def _memory(process: "subprocess.Popen[str]") -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024 / 1e6  # ty: ignore[not-subscriptable]
