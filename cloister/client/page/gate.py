"""Who may see the page: a browser that has exchanged the token for a cookie, on requests that it makes by itself.

A cookie goes to every port of its host. This one is for a path that only this page's address has, so that no other
server of this machine gets it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "cloister-page"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'sha256-{style}'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types parts"
)
"""Of styles, only the one that every page has at its head: it is there with the first bytes."""

HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every response, with the policy. Script and icon have a Cache-Control of their own.

No Cross-Origin-Opener-Policy: a browser starts another process for it, which takes three times the first paint, and a
page that would open this one does not know its path.
"""

_OWN = frozenset({b"same-origin", b"none"})
"""Sec-Fetch-Site of requests that the page itself or the user makes (W3C, "Fetch Metadata Request Headers")."""

_ENTER = "Open the address that the command printed."
_FOREIGN = "Another page made this request. Type or copy the address into the browser."
_SPENT = "This address has been used. Start the command again, and open the address that it prints then."


class _Refused(Exception):
    def __init__(self, status: int, said: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(said)
        self.answer = PlainTextResponse(f"{said}\n", status, headers)


def new_root() -> str:
    """A path that no one can guess. All pages are below it."""
    return f"/{secrets.token_urlsafe(24)}/"


class Gate:
    """Passes on requests of the one browser that has the cookie; every other request learns nothing."""

    def __init__(self, app: ASGIApp, port: int, root: str, style: str) -> None:
        """``style`` is the text of the one style that the pages have."""
        self._app = app
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        headers = {"Content-Security-Policy": _POLICY.format(style=digest), **HEADERS}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._host = f"127.0.0.1:{port}".encode()
        self._root = root
        self._enter = f"{root}enter"
        self._token: bytes | None = secrets.token_urlsafe(32).encode()
        self._cookie = b""

    def address(self) -> str:
        """The address with the token, for the first request. It works once."""
        return f"http://{self._host.decode()}{self._enter}?token={(self._token or b'').decode()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}
                more = [(name, value) for name, value in self._headers if name not in names]
                message = {**message, "headers": [*given, *more]}
            await send(message)

        try:
            answer = self._admit(scope)
        except _Refused as refused:
            answer = refused.answer
        await (self._app if answer is None else answer)(scope, receive, send_with_headers)

    def _admit(self, scope: Scope) -> Response | None:
        """The answer to a request that does not get to the pages; None for one that may."""
        if scope["method"] != "GET":
            raise _Refused(405, "This page can only be read.", {"Allow": "GET"})
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if _values(headers, b"host") != [self._host]:
            raise _Refused(421, "This server has another name.")
        if any(value != b"http://" + self._host for value in _values(headers, b"origin")):
            raise _Refused(403, _FOREIGN)
        if not set(_values(headers, b"sec-fetch-site")) <= _OWN:
            raise _Refused(403, _FOREIGN)
        if _values(headers, b"transfer-encoding") or not set(_values(headers, b"content-length")) <= {b"0"}:
            raise _Refused(400, "A request for this page has no body.")
        path = scope["path"]
        # One spelling of each path: nothing is decoded, joined or normalised.
        if scope.get("raw_path") != path.encode() or not path.startswith(self._root):
            raise _Refused(403, _ENTER)
        known = self._has_cookie(headers)
        if path == self._enter:
            return self._exchange(scope["query_string"], known)
        if not known:
            raise _Refused(403, _ENTER)
        return None

    def _exchange(self, query: bytes, known: bool) -> Response:
        """The cookie for the token, once."""
        home = RedirectResponse(self._root, 303)
        if known:
            return home
        token = self._token
        if token is None or not hmac.compare_digest(b"token=" + token, query):
            raise _Refused(403, _SPENT if token is None else _ENTER)
        self._token = None
        cookie = secrets.token_urlsafe(32)
        self._cookie = hashlib.sha256(cookie.encode()).digest()
        home.set_cookie(COOKIE, cookie, path=self._root, httponly=True, samesite="strict")
        return home

    def _has_cookie(self, headers: list[tuple[bytes, bytes]]) -> bool:
        if not self._cookie:
            return False
        name = COOKIE.encode() + b"="
        pairs = (pair.strip(b" \t") for value in _values(headers, b"cookie") for pair in value.split(b";"))
        given = [pair.removeprefix(name) for pair in pairs if pair.startswith(name)]
        return any(hmac.compare_digest(hashlib.sha256(value).digest(), self._cookie) for value in given)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]
