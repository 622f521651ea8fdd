"""Stand-ins for the metadata services of Azure and Google, as documented, with failures on request."""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from agent_runtime.platform import azure, gcp
from agent_runtime.platform.metadata import MetadataClient
from tests.http_server import QuietHandler, Reply, http_server

AZURE = {"Content-Type": "text/plain; charset=utf-8", "Server": "IMDS/150.870.65.1854"}
GOOGLE = {"Metadata-Flavor": "Google", "Content-Type": "application/text", "Server": "Metadata Server for VM"}


Respond = Callable[[str, bytes], Reply]
"""Maps path and body of a request to the answer."""


@dataclass
class Server:
    """``requests`` are method, path and headers. ``before`` are the first answers; then ``respond`` answers."""

    port: int
    respond: Respond
    before: list[Reply] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def reached(self, service: MetadataClient) -> MetadataClient:
        """The agent's client of a service, directed to this server, which records its pauses instead of waiting."""
        return replace(service, address="127.0.0.1", port=self.port, sleep=self.pauses.append)


def azure_service(user_data: bytes, others: Respond | None = None) -> Respond:
    """IMDS: requires its header, has user data in base64; ``others`` answers the rest."""

    def respond(path: str, body: bytes) -> Reply:
        if path == azure.USER_DATA:
            return Reply(base64.b64encode(user_data), headers=AZURE)
        return others(path, body) if others else Reply(b'{"error":"Not found"}', 404, AZURE)

    return respond


def google_service(attribute: bytes | None) -> Respond:
    """The metadata server with one attribute, unencoded."""

    def respond(path: str, _body: bytes) -> Reply:
        if path == gcp.BOOT_CONFIGURATION and attribute is not None:
            return Reply(attribute, headers={**GOOGLE, "ETag": "411261ca6c9e4fa1", "X-Frame-Options": "0"})
        return Reply(b"<!DOCTYPE html>not found", 404, GOOGLE)

    return respond


@contextlib.contextmanager
def serving(respond: Respond, *before: Reply) -> Iterator[Server]:
    """A server on a free port."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            server.requests.append((self.command, self.path, headers))
            answer = server.before.pop(0) if server.before else self._answer(headers, body)
            answer.send(self)

        do_POST = do_GET

        def _answer(self, headers: dict[str, str], body: bytes) -> Reply:
            if "x-forwarded-for" in headers:
                return Reply(b"forwarded", 403)
            if self.path.startswith("/computeMetadata/"):
                known = headers.get("metadata-flavor") == "Google"
                return server.respond(self.path, body) if known else Reply(b"Missing Metadata-Flavor:Google", 403)
            # Microsoft's samples request quotes without the header.
            if headers.get("metadata") == "true" or self.path.startswith("/acc/"):
                return server.respond(self.path, body)
            return Reply(json.dumps({"error": "Bad request. Required metadata header not specified"}).encode(), 400)

        def send_header(self, keyword: str, value: str) -> None:
            if keyword not in ("Server", "Date") or value in (AZURE["Server"], GOOGLE["Server"]):
                super().send_header(keyword, value)

    with http_server(Handler) as port:
        server = Server(port, respond, list(before))
        yield server
