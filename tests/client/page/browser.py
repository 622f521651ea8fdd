"""A page that is served in this process, and a browser as far as HTTP goes."""

import contextlib
import functools
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cloister.client.files.descriptor_file import load_descriptor
from cloister.client.page.machines import ManifestCopy, machines_of
from cloister.client.page.server import PageServer
from cloister.client.waiting.next_steps import StepReader

SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header; empty if it is missing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()


@dataclass
class Browser:
    """Sends requests to the page; ``address`` is the one that was printed."""

    server: PageServer
    address: str
    cookie: str = ""
    streams: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def root(self) -> str:
        return urlsplit(self.address).path.removesuffix("enter")

    @property
    def entrance(self) -> str:
        found = urlsplit(self.address)
        return f"{found.path}?{found.query}"

    def send(self, path: str, headers: Sequence[tuple[str, str]] = (), *, method: str = "GET", body: bytes = b""):
        """The answer to exactly these headers, and a Host unless they have one."""
        connection = self._request(path, headers, method, body)
        with contextlib.closing(connection):
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())

    def get(self, path: str = "", *more: tuple[str, str]) -> Answer:
        """The answer to the browser, which has its cookie."""
        return self.send(self.root + path, (("Cookie", self.cookie), *more))

    def enter(self) -> Answer:
        """Exchange the token for a cookie."""
        answer = self.send(self.entrance)
        self.cookie = answer.header("Set-Cookie").split(";")[0]
        return answer

    def open(self, path: str, *more: tuple[str, str]) -> "Stream":
        """Open a stream."""
        connection = self._request(self.root + path, (("Cookie", self.cookie), *more))
        self.streams.append(connection)
        return Stream(connection.getresponse())

    def _request(self, path, headers, method="GET", body=b""):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if not any(name == "Host" for name, _ in headers):
            connection.putheader("Host", f"127.0.0.1:{self.port}")
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        return connection


@dataclass(frozen=True)
class Sent:
    """A message of a stream."""

    kind: str
    id: str
    value: dict


class Stream:
    """The messages of a stream, as they come."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer

    def __iter__(self) -> Iterator[Sent]:
        kind, number = "", ""
        for line in self.answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind, number = value, ""
            elif name == "id":
                number = value
            elif name == "data":
                yield Sent(kind, number, json.loads(value))

    def until(self, pattern: str, part: str = "state") -> str:
        """The first HTML of a part that has this text. Beats come without end, so that this needs one of its own."""
        end = time.monotonic() + 6 * SECONDS
        for sent in self:
            assert time.monotonic() < end, f"Nothing in {part} has {pattern!r}."
            html = sent.value.get("parts", {}).get(part, "")
            if re.search(pattern, words(html)):
                return html
        raise AssertionError(f"The stream has ended without {pattern!r}.")


def words(html: str) -> str:
    """The text of HTML in one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def watched(machine, *copies):
    """What a page watches: the machine, with a party's copies of manifests."""
    descriptor = load_descriptor(machine.parties.folder / "workspace.json")
    manifests = [ManifestCopy(copy, "manifest.json") for copy in copies]
    return machines_of({"workspace.json": descriptor}, {"policy.json": machine.policy}, manifests=manifests)


@contextlib.contextmanager
def serving(machines, key, reader: StepReader | None = None, *, tell=None) -> Iterator[Browser]:
    """Serve a page of these machines in a thread. With ``tell`` it shows what this gives for a watcher."""
    opened = threading.Event()
    addresses: list[str] = []

    def show(address: str) -> None:
        addresses.append(address)
        opened.set()

    server = PageServer(machines, key, reader=reader, opened=show)
    for one in server.watchers if tell is not None else ():
        one._ask = functools.partial(tell, one)
    thread = threading.Thread(target=server.run, name="page", daemon=True)
    thread.start()
    assert opened.wait(SECONDS)
    browser = Browser(server, addresses[0])
    try:
        yield browser
    finally:
        for connection in browser.streams:
            connection.close()
        server.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
