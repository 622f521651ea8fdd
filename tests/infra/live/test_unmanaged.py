"""Unmanaged resources in a workspace's Google Cloud network, found through a stand-in of the API."""

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
    # A resource that only waits for deletion.
    {"type": compute_api.FIREWALL, "outputs": {"name": "before"}, "delete": True},
]


def thing(kind: str, name: str, network: str = NETWORK) -> tuple[str, dict[str, Any]]:
    identity = f"projects/my-project/global/{kind}s/{name}"
    return identity, {"type": KINDS[kind], "inputs": {"name": name, "network": network}, "computed": {}}


@pytest.fixture
def world() -> dict[str, Any]:
    """The cloud as the stack left it, with another, foreign network."""
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


def test_resources_of_the_stack_are_managed(ask: unmanaged.Ask):
    assert unmanaged.found(STATE, ask) == []


def test_unmanaged_resources_are_named(ask: unmanaged.Ask, world: dict[str, Any]):
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


def test_deleted_network_cannot_be_queried(ask: unmanaged.Ask, world: dict[str, Any]):
    del world[NETWORK]
    with pytest.raises(unmanaged.UnansweredError, match=f"returned status 404 for {NETWORK}/getEffectiveFirewalls"):
        unmanaged.found(STATE, ask)


def test_endless_pages_of_routes_are_not_followed():
    def ask(path: str) -> dict[str, Any]:
        return {"nextPageToken": "again"} if "/routes" in path else {}

    with pytest.raises(unmanaged.UnansweredError, match="too many routes to compare"):
        unmanaged.found(STATE, ask)


def test_empty_state_sends_no_query():
    def ask(path: str) -> dict[str, Any]:
        raise AssertionError(path)

    assert unmanaged.found([], ask) == []


def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch):
    def default(**_: Any) -> None:
        raise DefaultCredentialsError("Not logged in.")

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(unmanaged.UnansweredError, match=r"No credentials for Google Cloud: Not logged in\."):
        unmanaged.asking("my-project")


def test_unreachable_api_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="token"), ""))
    with compute_api.serving(dict) as address:
        monkeypatch.setattr(unmanaged, "ADDRESS", address)
    with pytest.raises(unmanaged.UnansweredError, match="does not respond"):
        unmanaged.asking("my-project")(NETWORK)
