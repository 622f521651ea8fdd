"""A stand-in for the parts of the Compute Engine API that concern networks; it answers from the stand-in's world."""

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FIREWALL, ROUTE = "gcp:compute/firewall:Firewall", "gcp:compute/route:Route"
_PAGE = 2
_LINK = "https://www.googleapis.com/compute/v1/"


@contextlib.contextmanager
def serving(world: Callable[[], dict[str, Any]]) -> Iterator[str]:
    """The address of the API for that world. Requests without a token get status 401."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != "Bearer token":
                self.send_error(401)
                return
            answer = _answer(world(), self.path)
            if answer is None:
                self.send_error(404)
                return
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Discards the log."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def world_in(path: Path) -> Callable[[], dict[str, Any]]:
    return lambda: json.loads(path.read_text())


def _answer(world: dict[str, Any], address: str) -> dict[str, Any] | None:
    parts = urlsplit(address)
    path = parts.path.removeprefix("/compute/v1/")
    if path.endswith("/global/routes"):
        return _routes(world, path, int(parse_qs(parts.query).get("pageToken", ["0"])[0]))
    network = path.removesuffix("/getEffectiveFirewalls")
    if network not in world:
        return None
    found = world[network]
    if path == network:
        return {"name": network.rpartition("/")[2], **{key: found[key] for key in ("peerings",) if key in found}}
    rules = [one for one in _inputs(world, FIREWALL) if one["network"].endswith(network)]
    # The default policy of every project, which decides nothing.
    policies = [{"name": "0", "displayName": "default", "rules": [{"action": "goto_next"}]}, *found.get("policies", [])]
    return {"firewalls": rules, "firewallPolicys": policies}


def _routes(world: dict[str, Any], path: str, first: int) -> dict[str, Any]:
    """One page of routes, including those of subnets and of peerings."""
    networks = [identity for identity, resource in world.items() if resource["type"] == "gcp:compute/network:Network"]
    links = [{"name": f"default-route-{number}", "network": _LINK + one} for number, one in enumerate(networks)]
    whole = [
        *({**one, "nextHopNetwork": one["network"]} for one in links),
        *({**one, "name": "of-a-peering", "nextHopPeering": "hub"} for one in links),
        {"name": "of-another-network", "network": f"{_LINK}{path.removesuffix('routes')}networks/default"},
        *({**one, "network": f"{_LINK}{one['network']}"} for one in _inputs(world, ROUTE)),
    ]
    more = {"nextPageToken": str(first + _PAGE)} if first + _PAGE < len(whole) else {}
    return {"items": whole[first : first + _PAGE], **more}


def _inputs(world: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource["inputs"] for resource in world.values() if resource["type"] == kind]
