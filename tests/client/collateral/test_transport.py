"""Temporary failures are retried, as the service demands and a limited number of times."""

import datetime
import itertools
import ssl

import pytest

from cloister.client.collateral.transport import ATTEMPTS, CollateralUnavailable, Transport
from tests.client.collateral.services import NOW, Reply, Server, serving

GOOD = Reply(b"answer", headers={"X-Chain": "yes"})


def test_answer_has_body_and_headers(server: Server, asking) -> None:
    server.reply("/a", GOOD)
    answer = asking.transport().get(f"{server.address}/a", limit=6, headers={"Metadata": "true"})

    assert (answer.body, answer.headers["x-chain"]) == (b"answer", "yes")
    assert server.seen[0]["metadata"] == "true"


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Fri, 20 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Fri, 20 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, 1.0),
        ({}, 1.0),
    ],
    ids=str,
)
def test_retry_after_is_obeyed(server: Server, asking, headers: dict[str, str], waited: float) -> None:
    server.reply("/a", Reply(status=429, headers=headers), GOOD)

    assert asking.transport().get(f"{server.address}/a", limit=99).body == b"answer"
    assert asking.waited == [waited]


@pytest.mark.parametrize("after", ["61", "86400", "9" * 400])
def test_too_long_retry_after_is_an_error(server: Server, asking, after: str) -> None:
    server.reply("/a", Reply(status=429, headers={"Retry-After": after}), GOOD)
    with pytest.raises(CollateralUnavailable, match="is rate limiting"):
        asking.transport().get(f"{server.address}/a", limit=99)
    assert (asking.waited, len(server.asked)) == ([], 1)


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply(status=503), Reply(status=429), Reply(b"answer", cut=1), Reply(hang_up=True)],
    ids=["500", "503", "429", "cut", "hang-up"],
)
def test_temporary_failure_is_retried(server: Server, asking, reply: Reply) -> None:
    server.reply("/a", reply, reply, GOOD)

    assert asking.transport().get(f"{server.address}/a", limit=99).body == b"answer"
    assert asking.waited == [1.0, 2.0]


@pytest.mark.parametrize(
    "reply", [Reply(status=502), Reply(b"answer", cut=3), Reply(hang_up=True)], ids=["502", "cut", "hang-up"]
)
def test_attempts_are_limited(server: Server, asking, reply: Reply) -> None:
    server.reply("/a", reply)
    with pytest.raises(CollateralUnavailable, match=f"in {ATTEMPTS} attempts"):
        asking.transport().get(f"{server.address}/a", limit=99)
    assert (asking.waited, len(server.asked)) == ([1.0, 2.0, 4.0], ATTEMPTS)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501, 204, 206])
def test_permanent_failure_is_not_retried(server: Server, asking, status: int) -> None:
    server.reply("/a", Reply(status=status), GOOD)
    with pytest.raises(CollateralUnavailable, match=f"status {status}"):
        asking.transport().get(f"{server.address}/a", limit=99)
    assert (asking.waited, len(server.asked)) == ([], 1)


def test_trickling_answer_is_given_up(server: Server) -> None:
    server.reply("/a", GOOD)
    clock = (NOW + datetime.timedelta(minutes=minutes) for minutes in itertools.count(step=2))
    assert Transport(now=lambda: next(clock)).get(f"{server.address}/a", limit=99).body == b"answer"

    slower = (NOW + datetime.timedelta(minutes=minutes) for minutes in itertools.count(step=3))
    with pytest.raises(CollateralUnavailable, match="took more than 2 minutes"):
        Transport(now=lambda: next(slower)).get(f"{server.address}/a", limit=99)
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(server: Server, asking, status: int) -> None:
    server.reply("/a", Reply(status=status, headers={"Location": f"{server.address}/b"}))
    server.reply("/b", GOOD)
    with pytest.raises(CollateralUnavailable, match=f"status {status}"):
        asking.transport().get(f"{server.address}/a", limit=99)
    assert server.asked == ["/a"]


def test_body_over_the_limit_is_rejected(server: Server, asking) -> None:
    server.reply("/a", Reply(b"x" * 1001))
    with pytest.raises(CollateralUnavailable, match="more than 1000 bytes"):
        asking.transport().get(f"{server.address}/a", limit=1000)


def test_unreachable_address_is_an_error(asking) -> None:
    with serving() as server:
        address = server.address
    with pytest.raises(CollateralUnavailable, match=f"in {ATTEMPTS} attempts"):
        asking.transport().get(f"{address}/a", limit=99)


def test_untrusted_tls_certificate_is_not_retried(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    waited: list[float] = []
    with serving(tmp_path) as server:
        server.reply("/a", GOOD)
        with pytest.raises(CollateralUnavailable, match="not trusted"):
            Transport(wait=waited.append, now=lambda: NOW).get(f"{server.address}/a", limit=99)
        trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        answer = Transport(wait=waited.append, now=lambda: NOW, context=trusting).get(f"{server.address}/a", limit=99)

    assert (answer.body, waited) == (b"answer", [])
