"""Finds firewall rules, routes and peerings in a workspace's Google Cloud network that its stack does not manage.

They are separate resources there, and Pulumi queries only those in its state.

Source: Compute Engine API v1, networks (get, getEffectiveFirewalls) and routes (list).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cloister.errors import CloisterError

_NETWORK, _FIREWALL, _ROUTE = "compute/network:Network", "compute/firewall:Firewall", "compute/route:Route"
ADDRESS = "https://compute.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/compute.readonly"
_OK = 200
_SECONDS = 30
# 500 routes a page; a network has a few hundred at most.
_MOST_PAGES = 20
# The action of the rules at the end of every policy: evaluate the next policy.
_NEXT = "goto_next"

Ask = Callable[[str], dict[str, Any]]
"""Returns the response to a GET of an API path. Raises UnansweredError."""


class UnansweredError(CloisterError):
    """Google Cloud could not be queried, or did not respond."""

    remedy = "Sign in to Google Cloud and check the network, then run the command again."


@dataclass(frozen=True)
class UnmanagedResource:
    """``type`` is one of Firewall, FirewallPolicy, Route or NetworkPeering."""

    type: str
    name: str


def found(resources: Sequence[Mapping[str, Any]], ask: Ask) -> list[UnmanagedResource]:
    """The unmanaged resources in the networks among ``resources``, a stack's state. Raises UnansweredError."""
    extra = []
    for network in _outputs(resources, _NETWORK):
        path = str(network["selfLink"]).rpartition("/compute/v1/")[2]
        answer = ask(f"{path}/getEffectiveFirewalls")
        own = {str(one["name"]) for one in _outputs(resources, _FIREWALL)}
        extra += [UnmanagedResource("Firewall", name) for name in _names(answer.get("firewalls")) if name not in own]
        extra += [
            UnmanagedResource(
                "FirewallPolicy", str(policy.get("displayName") or policy.get("shortName") or policy.get("name"))
            )
            for policy in _entries(answer.get("firewallPolicys"))
            if any(rule.get("action") != _NEXT for rule in _entries(policy.get("rules")))
        ]
        own = {str(one["name"]) for one in _outputs(resources, _ROUTE)}
        extra += [UnmanagedResource("Route", name) for name in _names(_routes(path, ask)) if name not in own]
        extra += [UnmanagedResource("NetworkPeering", name) for name in _names(ask(path).get("peerings"))]
    return extra


def asking(project: str) -> Ask:
    """Queries on behalf of ``project``, with the default credentials. Raises UnansweredError without credentials."""
    import google.auth
    import requests
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE], quota_project_id=project)
    except GoogleAuthError as error:
        raise UnansweredError(f"No credentials for Google Cloud: {error}") from error
    session = AuthorizedSession(credentials)

    def ask(path: str) -> dict[str, Any]:
        try:
            answer = session.get(f"{ADDRESS}/compute/v1/{path}", timeout=_SECONDS, allow_redirects=False)
            value = answer.json() if answer.status_code == _OK else None
        except (requests.exceptions.RequestException, GoogleAuthError) as error:
            raise UnansweredError(f"Compute Engine does not respond: {error}") from error
        if not isinstance(value, dict):
            raise UnansweredError(f"Compute Engine returned status {answer.status_code} for {path}.")
        return value

    return ask


def _routes(network: str, ask: Ask) -> list[Mapping[str, Any]]:
    """The routes that someone created: without those of subnets and peerings."""
    project, page = network.partition("/global/")[0], ""
    routes: list[Mapping[str, Any]] = []
    for _ in range(_MOST_PAGES):
        answer = ask(f"{project}/global/routes{page}")
        routes += [route for route in _entries(answer.get("items")) if str(route.get("network")).endswith(network)]
        if not answer.get("nextPageToken"):
            return [route for route in routes if "nextHopNetwork" not in route and "nextHopPeering" not in route]
        page = f"?{urlencode({'pageToken': answer['nextPageToken']})}"
    raise UnansweredError(
        f"{project} has too many routes to compare.", hint="Compare the routes of the workspace's network yourself."
    )


def _outputs(resources: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    mine = [one for one in resources if one.get("type") == f"gcp:{kind}" and not one.get("delete")]
    return [one.get("outputs") or {} for one in mine]


def _names(value: Any) -> list[str]:
    return sorted(str(one.get("name")) for one in _entries(value))


def _entries(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; the API omits empty lists."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
