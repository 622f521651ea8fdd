"""Data is fetched from the configured addresses only, and only where no one can change it on its way."""

import socket
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from cloister.errors import UnreachableError
from image.audit import fetch
from image.audit.databases import Databases
from image.audit.errors import DataError
from tests.image.small_archive import SmallServer


def silent(_: str) -> None:
    """Progress that no one reads."""


@pytest.fixture(autouse=True)
def nothing_configured(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (fetch.TRACKER, fetch.OSV):
        monkeypatch.delenv(variable, raising=False)


def test_configured_files_are_fetched_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with SmallServer({"tracker": b"{}", "osv": b"[]"}) as server:
        monkeypatch.setenv(fetch.TRACKER, f"{server.address}/tracker")
        monkeypatch.setenv(fetch.OSV, f"{server.address}/osv")
        found = Databases.gather("", "mine.json", fetch=True, say=silent)
        assert (found.tracker and found.tracker.read_bytes(), found.osv) == (b"{}", Path("mine.json"))
        assert server.requests == [("tracker", "")]
        # Without --fetch nothing is asked for.
        assert Databases.gather("", "", fetch=False, say=silent).files == {}
        assert len(server.requests) == 1


def test_fetching_without_an_address_is_an_error() -> None:
    with pytest.raises(DataError, match=r"neither CLOISTER_DEBIAN_TRACKER nor CLOISTER_OSV is set"):
        Databases.gather("", "", fetch=True, say=silent)
    with pytest.raises(DataError, match="There is no data"):
        Databases().require()


@pytest.mark.parametrize(
    "address", ["http://192.0.2.1/data", "http://mirror/data", "ftp://127.0.0.1/x", "file:///etc/x", "x"]
)
def test_address_that_others_can_answer_for_is_refused(address: str) -> None:
    with pytest.raises(DataError, match="it must come by https"):
        fetch.fetch(fetch.OSV, {fetch.OSV: address}, say=silent)


@pytest.mark.parametrize(("place", "followed"), [("http://192.0.2.1/data", False), ("/osv", True)])
def test_server_cannot_send_to_such_an_address(place: str, followed: bool) -> None:
    class Sending(SmallServer):
        def answer(self, handler: BaseHTTPRequestHandler) -> None:
            if handler.path != "/moved":
                super().answer(handler)
                return
            handler.send_response(302)
            handler.send_header("Location", place)
            handler.end_headers()

    with Sending({"osv": b"[]"}) as server:
        address = {fetch.OSV: f"{server.address}/moved"}
        if followed:
            path = fetch.fetch(fetch.OSV, address, say=silent)
            assert (path and path.read_bytes()) == b"[]"
        else:
            with pytest.raises(DataError, match=r"leads to http://192\.0\.2\.1/data"):
                fetch.fetch(fetch.OSV, address, say=silent)


def test_unreachable_address_is_told_without_names_of_classes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UnreachableError, match=rf"Cannot fetch https://127\.0\.0\.1:{port}/x: Connection refused\."):
        fetch.fetch(fetch.OSV, {fetch.OSV: f"https://127.0.0.1:{port}/x"}, say=silent)


def test_missing_file_leaves_the_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with SmallServer({"osv": b"[]"}) as server:
        path = fetch.fetch(fetch.OSV, {fetch.OSV: f"{server.address}/osv"}, say=silent)
        with pytest.raises(UnreachableError, match="404"):
            fetch.fetch(fetch.OSV, {fetch.OSV: f"{server.address}/gone"}, say=silent)
        server.cut["osv"] = 1
        with pytest.raises(UnreachableError, match="the connection ended after 1 of 2 bytes"):
            fetch.fetch(fetch.OSV, {fetch.OSV: f"{server.address}/osv"}, say=silent)
        monkeypatch.setattr(fetch, "_LARGEST", 1)
        with pytest.raises(DataError, match="more than 1 bytes"):
            fetch.fetch(fetch.OSV, {fetch.OSV: f"{server.address}/osv"}, say=silent)
    assert path is not None
    assert path.read_bytes() == b"[]"
