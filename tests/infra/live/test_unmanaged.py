"""What somebody put into a workspace's network at Google is found by asking: a stand-in of the API answers."""

from collections.abc import Iterator
from typing import Any

import google.auth
import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2.credentials import Credentials

from infra.live import unmanaged
from tests.infra.clouds import compute_api

NETWORK = "projects/my-project/global/networks/cloister-lab-1234567"
OTHER = "projects/my-project/global/networks/other"
KINDS = {"network": "gcp:compute/network:Network", "firewall": compute_api.FIREWALL, "route": compute_api.ROUTE}

STATE: list[dict[str, Any]] = [
    {"type": KINDS["network"], "outputs": {"selfLink": f"https://www.googleapis.com/compute/v1/{NETWORK}"}},
    {"type": compute_api.FIREWALL, "outputs": {"name": "allow-agent"}},
    {"type": compute_api.ROUTE, "outputs": {"name": "replies"}},
    # What waits to be deleted is declared by nobody any more.
    {"type": compute_api.FIREWALL, "outputs": {"name": "before"}, "delete": True},
]


def thing(kind: str, name: str, network: str = NETWORK) -> tuple[str, dict[str, Any]]:
    identity = f"projects/my-project/global/{kind}s/{name}"
    return identity, {"type": KINDS[kind], "inputs": {"name": name, "network": network}, "computed": {}}


@pytest.fixture
def world() -> dict[str, Any]:
    """The cloud as the stack has left it, with a network of somebody else's beside it."""
    rest = [thing("firewall", "allow-agent"), thing("route", "replies")]
    others = [thing("firewall", "allow-ssh", OTHER), thing("route", "default", OTHER)]
    networks = {one: {"type": KINDS["network"], "inputs": {}, "computed": {}} for one in (NETWORK, OTHER)}
    return networks | dict([*rest, *others])


@pytest.fixture
def ask(world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[unmanaged.Ask]:
    asked: list[dict[str, Any]] = []

    def default(**words: Any) -> tuple[Credentials, str]:
        asked.append(words)
        return Credentials(token="token"), ""

    monkeypatch.setattr(google.auth, "default", default)
    with compute_api.serving(lambda: world) as address:
        monkeypatch.setattr(unmanaged, "ADDRESS", address)
        yield unmanaged.asking("my-project")
    # Whose quota it is, and that nothing could be changed with it.
    assert asked == [{"scopes": ["https://www.googleapis.com/auth/compute.readonly"], "quota_project_id": "my-project"}]


def test_what_the_stack_declared_is_no_stray(ask: unmanaged.Ask):
    assert unmanaged.found(STATE, ask) == []


def test_whatever_else_there_is_has_a_name(ask: unmanaged.Ask, world: dict[str, Any]):
    world |= dict([thing("firewall", "before"), thing("firewall", "allow-ssh-too"), thing("route", "out")])
    world[NETWORK]["peerings"] = [{"name": "to-hub"}]
    world[NETWORK]["policies"] = [
        {"name": "17", "shortName": "organisation", "rules": [{"action": "goto_next"}, {"action": "allow"}]}
    ]
    assert [(one.type, one.name) for one in unmanaged.found(STATE, ask)] == [
        ("Firewall", "allow-ssh-too"),
        ("Firewall", "before"),
        ("FirewallPolicy", "organisation"),
        ("Route", "out"),
        ("NetworkPeering", "to-hub"),
    ]


def test_a_network_that_is_gone_cannot_be_asked_about(ask: unmanaged.Ask, world: dict[str, Any]):
    del world[NETWORK]
    with pytest.raises(unmanaged.UnansweredError, match=f"returned status 404 for {NETWORK}/getEffectiveFirewalls"):
        unmanaged.found(STATE, ask)


def test_routes_without_end_are_not_read_to_their_end():
    def ask(path: str) -> dict[str, Any]:
        return {"nextPageToken": "again"} if "/routes" in path else {}

    with pytest.raises(unmanaged.UnansweredError, match="too many routes to compare"):
        unmanaged.found(STATE, ask)


def test_without_a_stack_nobody_is_asked():
    def ask(path: str) -> dict[str, Any]:
        raise AssertionError(path)

    assert unmanaged.found([], ask) == []


def test_who_is_nobody_is_told_so(monkeypatch: pytest.MonkeyPatch):
    def default(**_: Any) -> None:
        raise DefaultCredentialsError("Nobody is logged in.")

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(unmanaged.UnansweredError, match=r"No credentials for Google Cloud: Nobody is logged in\."):
        unmanaged.asking("my-project")


def test_an_api_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="token"), ""))
    with compute_api.serving(dict) as address:
        monkeypatch.setattr(unmanaged, "ADDRESS", address)
    with pytest.raises(unmanaged.UnansweredError, match="does not respond"):
        unmanaged.asking("my-project")(NETWORK)
