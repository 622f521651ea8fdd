"""The client of the metadata services: requests, retries and refused answers."""

import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.errors import AgentError
from agent_runtime.platform import azure, gcp, metadata
from agent_runtime.platform.metadata import MetadataClient
from tests.agent_runtime.platform.metadata_server import (
    AZURE,
    GOOGLE,
    Reply,
    Server,
    azure_service,
    google_service,
    serving,
)

CONFIGURATION = b'{"cvm":"main","owners":["' + b"0" * 64 + b'"],"version":1,"workspace":"trial"}'
AZURE_ANSWER, GOOGLE_ANSWER = azure_service(CONFIGURATION), google_service(CONFIGURATION)
AGAIN = [410, 429, 500, 503]
FINAL = [301, 302, 307, 400, 403, 404, 405]


def ask_azure(server: Server) -> bytes:
    return server.reached(azure.metadata_service()).get(azure.USER_DATA, what="boot configuration")


def ask_google(server: Server) -> bytes:
    return server.reached(gcp.metadata_service()).get(gcp.BOOT_CONFIGURATION, what="boot configuration")


def test_requests_use_the_address_and_the_required_headers() -> None:
    with serving(GOOGLE_ANSWER) as server:
        assert ask_google(server) == CONFIGURATION
    ((method, path, headers),) = server.requests
    assert (method, path) == ("GET", "/computeMetadata/v1/instance/attributes/cloister-boot-configuration")
    assert headers["metadata-flavor"] == "Google"

    with serving(AZURE_ANSWER) as server:
        ask_azure(server)
    ((method, path, headers),) = server.requests
    assert (method, path) == ("GET", "/metadata/instance/compute/userData?api-version=2021-01-01&format=text")
    assert headers["metadata"] == "true"
    assert azure.metadata_service().address == gcp.metadata_service().address == "169.254.169.254"


@pytest.mark.parametrize("status", AGAIN)
@pytest.mark.parametrize(("respond", "ask"), [(AZURE_ANSWER, ask_azure), (GOOGLE_ANSWER, ask_google)])
def test_busy_service_is_retried(
    respond: Callable[[str, bytes], Reply], ask: Callable[[Server], bytes], status: int
) -> None:
    with serving(respond, *[Reply(b"later", status)] * 3) as server:
        assert ask(server)
    assert len(server.requests) == 4
    assert server.pauses == [0.1, 0.2, 0.4]


def test_retries_last_longer_than_an_update_of_the_service() -> None:
    with serving(lambda *_: Reply(b"", 410)) as server, pytest.raises(AgentError, match="status 410"):
        ask_azure(server)
    assert 70 < sum(server.pauses) < 100
    assert len(server.requests) == len(server.pauses) + 1


@pytest.mark.parametrize("status", FINAL)
def test_other_status_is_final_and_redirects_are_not_followed(status: int) -> None:
    with serving(GOOGLE_ANSWER) as elsewhere:
        there = {**GOOGLE, "Location": f"http://127.0.0.1:{elsewhere.port}{gcp.BOOT_CONFIGURATION}"}
        refused = pytest.raises(AgentError, match=f"did not return the boot configuration: status {status}")
        with serving(lambda *_: Reply(CONFIGURATION, status, there)) as server, refused:
            ask_google(server)
        assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(AZURE_ANSWER) as server, serving(AZURE_ANSWER) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        ask_azure(server)
    assert proxy.requests == []


@pytest.mark.parametrize("headers", [{}, {"Metadata-Flavor": "google"}, AZURE])
def test_answer_without_googles_header_is_refused(headers: dict[str, str]) -> None:
    answer = Reply(CONFIGURATION, headers=headers)
    with serving(lambda *_: answer) as server, pytest.raises(AgentError, match="no Metadata-Flavor header"):
        ask_google(server)


def test_an_answer_is_bounded() -> None:
    with serving(lambda *_: Reply(bytes(metadata.MAX_SIZE + 1))) as server, pytest.raises(AgentError, match="131072"):
        ask_azure(server)
    with serving(lambda *_: Reply(bytes(metadata.MAX_SIZE))) as server:
        assert len(ask_azure(server)) == metadata.MAX_SIZE


def test_truncated_answer_is_retried() -> None:
    with serving(AZURE_ANSWER, Reply(b"x" * 100, headers=AZURE, cut=50)) as server:
        assert ask_azure(server) != b"x" * 50
    assert len(server.requests) == 2


def test_missing_network_is_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    pauses: list[float] = []
    client = MetadataClient({}, address="127.0.0.1", port=port, sleep=pauses.append)
    with pytest.raises(AgentError, match="cannot connect"):
        client.get("/", what="boot configuration")
    assert 70 < sum(pauses) < 100


@given(st.binary() | st.text().map(lambda text: f'{{"quote":"{text}","more":[1]}}'.encode()))
def test_any_azure_answer_is_a_string_or_refused(answer: bytes) -> None:
    try:
        assert isinstance(azure._string_members(answer, "quote")["quote"], str)
    except AgentError:
        pass


@given(st.text() | st.text(alphabet="-BEGIN CERTIFICATE\nAQ=D"))
def test_any_azure_certificate_is_bytes_or_refused(text: str) -> None:
    try:
        assert all(isinstance(der, bytes) for der in azure._pem(text))
    except AgentError:
        pass
