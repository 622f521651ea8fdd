"""Only the browser that exchanged the token sees the page, and only on requests of its own."""

import contextlib
import socket

import pytest

from cloister.client.files.keys import KeyType, generate_key
from cloister.client.page.machines import machine_at
from cloister.client.page.server import _MAX_CONNECTIONS
from cloister.endpoint import Address
from cloister.protocol.bootconfig import BootConfiguration
from tests.agent_fixture import accepting_policy, new_authority
from tests.client.page.browser import SECONDS, serving


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return generate_key(tmp_path_factory.mktemp("key") / "me.pem", KeyType.ED25519)


def nowhere(key):
    """A machine that does not exist."""
    policy = accepting_policy(BootConfiguration("trial", "main", (key.id,)), new_authority())
    return machine_at(Address("127.0.0.1", 9), policy)


@pytest.fixture
def fresh(key):
    """A page that no browser has entered."""
    with serving([nowhere(key)], key) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(key):
    """A page that its browser has entered. No request of a test changes anything."""
    with serving([nowhere(key)], key) as browser:
        browser.enter()
        yield browser


def test_token_is_exchanged_once_for_a_cookie_that_scripts_and_other_sites_do_not_get(fresh):
    answer = fresh.enter()
    assert (answer.status, answer.header("Location")) == (303, fresh.root)
    value, *attributes = answer.header("Set-Cookie").split("; ")
    assert {one.lower() for one in attributes} == {"httponly", "samesite=strict", f"path={fresh.root}".lower()}
    assert value.split("=")[1] not in fresh.address
    assert fresh.get("").status == 303

    again = fresh.send(fresh.entrance)
    assert (again.status, again.header("Set-Cookie")) == (403, "")
    assert "has been used" in again.text
    assert fresh.send(fresh.entrance, [("Cookie", fresh.cookie)]).status == 303


@pytest.mark.parametrize(
    "query", ["", "token=", "token=wrong", "Token={token}", "token={token}&a=1", "a=1&token={token}", "token={cut}"]
)
def test_wrong_token_gets_nothing_and_leaves_the_right_one_valid(fresh, query):
    token = fresh.entrance.partition("=")[2]
    path = fresh.root + "enter?" + query.format(token=token, cut=token[:-1])
    answer = fresh.send(path)
    assert (answer.status, answer.header("Set-Cookie")) == (403, "")
    assert fresh.enter().status == 303


PATHS = ("", "page.js", "icon.svg", "live", "trial/machine/", "trial/machine/live", "nothing")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "cookie", ["", "{name}=", "{name}=wrong", "other={value}", "{name}={value}x", "x{name}={value}"]
)
def test_without_the_cookie_every_path_answers_the_same(page, path, cookie):
    name, value = page.cookie.split("=")
    headers = [("Cookie", cookie.format(name=name, value=value))] if cookie else []
    answer = page.send(page.root + path, headers)
    elsewhere = page.send("/" + path, headers)
    assert (answer.status, answer.body) == (403, b"Open the address that the command printed.\n")
    assert (elsewhere.status, elsewhere.body) == (answer.status, answer.body)


FOREIGN = {
    "another name of this machine": ([("Host", "localhost:{port}")], 421),
    "rebound name": ([("Host", "evil.example:{port}")], 421),
    "rebound name without port": ([("Host", "evil.example")], 421),
    "address without port": ([("Host", "127.0.0.1")], 421),
    "address with a dot": ([("Host", "127.0.0.1.:{port}")], 421),
    "empty host": ([("Host", "")], 421),
    "address of another port": ([("Host", "127.0.0.1:1")], 421),
    "another address of the loopback": ([("Host", "127.0.0.2:{port}")], 421),
    "number as address": ([("Host", "2130706433:{port}")], 421),
    "foreign origin": ([("Origin", "http://evil.example")], 403),
    "origin null": ([("Origin", "null")], 403),
    "origin of another port": ([("Origin", "http://127.0.0.1:1")], 403),
    "origin over TLS": ([("Origin", "https://127.0.0.1:{port}")], 403),
    "origin by name": ([("Origin", "http://localhost:{port}")], 403),
    "two origins": ([("Origin", "http://127.0.0.1:{port}"), ("Origin", "http://evil.example")], 403),
    "from another site": ([("Sec-Fetch-Site", "cross-site")], 403),
    "from another port": ([("Sec-Fetch-Site", "same-site")], 403),
    "unknown site": ([("Sec-Fetch-Site", "somewhere")], 403),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("path", ["", "live", "trial/machine/", "page.js", "enter"])
def test_request_of_another_site_gets_nothing_even_with_the_cookie(page, case, path):
    headers, status = FOREIGN[case]
    answer = page.get(path, *[(name, value.format(port=page.port)) for name, value in headers])
    assert answer.status == status
    assert page.root not in answer.text


def test_request_of_another_site_does_not_spend_the_token(fresh):
    for headers, status in FOREIGN.values():
        sent = [(name, value.format(port=fresh.port)) for name, value in headers]
        answer = fresh.send(fresh.entrance, sent)
        assert (answer.status, answer.header("Set-Cookie")) == (status, "")
    assert fresh.enter().status == 303


def test_own_requests_of_a_browser_are_answered(page):
    for headers in (
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")],
        [("Sec-Fetch-Site", "same-origin"), ("Origin", f"http://127.0.0.1:{page.port}")],
    ):
        assert page.get("trial/machine/", *headers).status == 200


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "get", "X"]
)
def test_page_can_only_be_read(page, method):
    for path in ("", "trial/machine/", "enter"):
        answer = page.send(page.root + path, [("Cookie", page.cookie)], method=method)
        assert (answer.status, answer.header("Allow")) == (405, "GET")
    assert page.send(page.entrance, method=method).status == 405


def test_request_with_a_body_is_refused(page):
    assert page.send(page.root + "trial/machine/", [("Cookie", page.cookie)], body=b"x=1").status == 400


TRICKS = [
    "../etc/passwd",
    "../../../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "trial/../trial/machine/",
    "trial/machine/../../page.css",
    "./page.js",
    "%70age.js",
    "page%2ejs",
    "/page.js",
    "trial//machine/",
    "trial/machine",
    "trial/machine/page.html.j2",
    "page.css",
    "parts.html.j2",
    "view.py",
    "__init__.py",
    "page.js/",
    "page.js%00",
    "trial/machine/events",
    "trial/machine/events?before=",
    "trial/machine/events?before=-1",
    "trial/machine/events?before=1e3",
    "trial/machine/events?before=" + "9" * 400,
    "trial/machine/events?before=%C2%B2",
    "other/machine/",
    "trial/other/live",
    "trial/machine/live/",
    "openapi.json",
    "docs",
    "\\..\\page.js",
    ";page.js",
]


@pytest.mark.parametrize("path", TRICKS)
def test_other_spelling_of_a_path_gets_no_file(page, path):
    answer = page.get(path)
    assert answer.status in (403, 404)
    assert len(answer.body) < 100


def test_path_that_leaves_the_root_is_as_unknown_as_any(page):
    for path in (
        "/",
        "/etc/passwd",
        "//" + page.root,
        f"{page.root[:-1]}",
        f"http://127.0.0.1:{page.port}{page.root}",
        "*",
    ):
        assert page.send(path, [("Cookie", page.cookie)]).status in (400, 403)


RAW = {
    "two hosts": b"GET {root} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET {root} HTTP/1.1\r\nCookie: {cookie}\r\n\r\n",
    "no host in HTTP/1.0": b"GET {root} HTTP/1.0\r\nCookie: {cookie}\r\n\r\n",
    "HTTP/0.9": b"GET {root}\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "noise": b"\x00\xff\r\n\r\n",
    "long header": b"GET {root} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: " + b"a" * 100_000,
    "many headers": b"GET {root} HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    "line break in a header": b"GET {root} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n X: {cookie}\r\n\r\n",
    "chunked body": b"GET {root} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "websocket": b"GET {root}live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
}


@pytest.mark.parametrize("case", RAW)
def test_malformed_request_is_refused_and_others_are_still_answered(page, case):
    values = {b"{root}": page.root.encode(), b"{port}": str(page.port).encode(), b"{cookie}": page.cookie.encode()}
    request = RAW[case]
    for name, value in values.items():
        request = request.replace(name, value)
    with socket.create_connection(("127.0.0.1", page.port), SECONDS) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"403", b"405", b"421")
    assert page.get("trial/machine/").status == 200


def test_connections_without_a_request_are_few_and_leave_nothing(fresh):
    """Each is a file that the process has open: with all of its files open, it could not ask a machine any more."""
    opened = fresh.server._server.server_state.connections
    with contextlib.ExitStack() as stack:
        several = [
            stack.enter_context(socket.create_connection(("127.0.0.1", fresh.port), SECONDS))
            for _ in range(_MAX_CONNECTIONS + 30)
        ]
        for one in several[_MAX_CONNECTIONS:]:
            assert ended(one)
        assert len(opened) == _MAX_CONNECTIONS
    while len(opened) > 1:
        fresh.send("/")
    assert fresh.enter().status == 303


def ended(connection):
    """Whether the server ends a connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@pytest.mark.parametrize("path", [*PATHS[:3], "trial/machine/", "nothing", "enter"])
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_has_the_headers(page, path, known):
    answer = page.get(path) if known else page.send(page.root + path)
    found = {name: answer.header(name) for name in HEADERS}
    kept = known and path in ("page.js", "icon.svg")
    assert found == (HEADERS | {"Cache-Control": "private, max-age=3600"} if kept else HEADERS)
    policy = dict(part.strip().split(" ", 1) for part in answer.header("Content-Security-Policy").split(";"))
    assert policy["default-src"] == "'none'"
    assert policy.pop("style-src").startswith("'sha256-")
    assert {policy[name] for name in policy if name.endswith("-src")} == {"'none'", "'self'"}
    assert (policy["frame-ancestors"], policy["form-action"], policy["base-uri"]) == ("'none'",) * 3
    assert answer.header("Server") == answer.header("Access-Control-Allow-Origin") == ""
