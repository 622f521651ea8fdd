"""Who reaches whom in Google Cloud, by firewall rules, routes and external addresses.

Sources: Google Cloud, Virtual Private Cloud, "VPC firewall rules" (implied rules, priorities, what is always allowed),
"Routes" (default route, subnet routes), "Private Google Access"; pulumi-gcp, compute.Firewall (default values).
"""

from collections.abc import Sequence
from typing import Any

from infra.reach.address_set import EVERYWHERE, NOWHERE, Space
from infra.reach.machine import Machine, open_to_all
from infra.reach.packet_filter import ANY_PORT, OTHER, PROTOCOLS, TCP, UDP, Ports, Rule, narrowed, openings, ports_of
from infra.resources.resource import UNKNOWN, Resource, linked, listed, within

MACHINE = "gcp:compute/instance:Instance"
SUBNET = "gcp:compute/subnetwork:Subnetwork"
NETWORK = "gcp:compute/network:Network"
FIREWALL = "gcp:compute/firewall:Firewall"
ROUTE = "gcp:compute/route:Route"
PEERING = "gcp:compute/networkPeering:NetworkPeering"

# Always allowed, whatever the rules say; the metadata server is a resolver of names, too.
_PLATFORM = ("metadata", "names")
_METADATA = Space.of(["169.254.169.254"])
ALWAYS = _PLATFORM
"""Services of the host that every machine reaches."""

# "Routes", special routing paths: Identity-Aware Proxy, which lets in who has a role for it, health checks of load
# balancers, and what forwards names and calls for Google's services.
_SERVICES = Space.of(
    ["35.235.240.0/20", "35.191.0.0/16", "130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22", "35.199.192.0/19"]
)
_PROTOCOLS = {"tcp": (TCP,), "6": (TCP,), "udp": (UDP,), "17": (UDP,), "all": PROTOCOLS}
_OTHERS = ("icmp", "esp", "ah", "sctp", "ipip")
_INGRESS, _EGRESS = "INGRESS", "EGRESS"
_USUAL_PRIORITY = 1000


def machines(resources: Sequence[Resource]) -> tuple[Machine, ...]:
    """One for each instance that is declared."""
    return tuple(_machine(one, resources) for one in resources if one.type == MACHINE)


def _machine(machine: Resource, resources: Sequence[Resource]) -> Machine:
    interfaces = machine.entries("networkInterfaces")
    if interfaces is UNKNOWN or len(interfaces) != 1:
        return open_to_all(machine.name, _PLATFORM)
    interface = interfaces[0]
    subnet = linked(machine, within(interface, "subnetwork"), SUBNET, resources)
    network = linked(subnet, subnet.at("network"), NETWORK, resources) if subnet is not None else None
    if subnet is None or network is None:
        return open_to_all(machine.name, _PLATFORM)
    # Whoever takes another network's rule for this one's sees fewer walls or more gates: both are counted.
    rules = [one for one in resources if one.type == FIREWALL and _may_be_in(one, network, resources)]
    walls = {way: openings(_rules(rules, network, resources, way), otherwise=way == _EGRESS) for way in _WAYS}
    routed = _routed(network, _addresses([subnet.at("ipCidrRange")], sure=False), resources)
    public = any(within(interface, name) not in (None, []) for name in ("accessConfigs", "ipv6AccessConfigs"))
    return Machine(
        name=machine.name,
        admits=narrowed(walls[_INGRESS], ~_METADATA),
        calls=narrowed(walls[_EGRESS], routed - _METADATA),
        answers=routed,
        addresses=_addresses([within(interface, "networkIp")], sure=False),
        network=_addresses([subnet.at("ipCidrRange")], sure=True),
        services=_SERVICES,
        public=public,
        # Without an external address Google's own services are still reached by Private Google Access.
        leaves=public or subnet.at("privateIpGoogleAccess") not in (None, False),
        platform=_PLATFORM,
    )


_WAYS = (_INGRESS, _EGRESS)


def _is_in(resource: Resource, network: Resource, resources: Sequence[Resource]) -> bool:
    return linked(resource, resource.at("network"), NETWORK, resources) == network


def _may_be_in(resource: Resource, network: Resource, resources: Sequence[Resource]) -> bool:
    found = linked(resource, resource.at("network"), NETWORK, resources)
    return found is None or found == network


def _rules(rules: Sequence[Resource], network: Resource, resources: Sequence[Resource], way: str) -> tuple[Rule, ...]:
    """In the order in which they are asked: a smaller number first, and of equal ones what denies."""
    found: list[tuple[float, Rule]] = []
    for one in rules:
        direction = one.at("direction") or _INGRESS
        if direction not in (way, UNKNOWN):
            continue
        sure = direction == way and _is_in(one, network, resources)
        number = one.at("priority")
        number = _USUAL_PRIORITY if number is None else number
        known = isinstance(number, int | float)
        for rule in _allowed(one, way):
            found.append((float(number) if known else 0, rule))
        if sure and known and one.at("disabled") in (None, False) and _for_everybody(one):
            found += [(float(number), rule) for rule in _denied(one, way)]
    return tuple(rule for _, rule in sorted(found, key=lambda one: (one[0], one[1].allow)))


def _for_everybody(rule: Resource) -> bool:
    """Whether a rule that denies is sure to mean the machine: it names no targets."""
    return rule.at("targetTags") is None and rule.at("targetServiceAccounts") is None


def _allowed(rule: Resource, way: str) -> list[Rule]:
    if rule.at("disabled") is True:
        return []
    entries = rule.entries("allows")
    if entries is UNKNOWN:
        return [Rule(allow=True)]
    addresses = _far(rule, way, sure=False)
    return [Rule(True, _protocols(one, sure=False), _ports(one, sure=False), addresses) for one in entries]


def _denied(rule: Resource, way: str) -> list[Rule]:
    entries = rule.entries("denies")
    near = rule.at("destinationRanges" if way == _INGRESS else "sourceRanges")
    if entries is UNKNOWN or near is not None:
        return []
    addresses = _far(rule, way, sure=True)
    return [Rule(False, _protocols(one, sure=True), _ports(one, sure=True), addresses) for one in entries]


def _far(rule: Resource, way: str, *, sure: bool) -> Space:
    """The other end's addresses: all when none are said; a tag or an account stands for some that nobody knows."""
    names = ("sourceTags", "sourceServiceAccounts") if way == _INGRESS else ()
    if any(rule.at(name) is not None for name in names):
        return NOWHERE if sure else EVERYWHERE
    ranges = rule.at("sourceRanges" if way == _INGRESS else "destinationRanges")
    if ranges is None:
        return EVERYWHERE
    entries = listed(ranges)
    return _addresses(entries if entries is not UNKNOWN else [UNKNOWN], sure=sure)


def _addresses(networks: Sequence[Any], *, sure: bool) -> Space:
    """What ``networks`` stand for: when ``sure`` at least, else at most."""
    found = NOWHERE
    for network in networks:
        if isinstance(network, str) and ":" in network:
            continue
        try:
            found |= Space.of([network if isinstance(network, str) else ""])
        except ValueError:
            found |= NOWHERE if sure else EVERYWHERE
    return found


def _protocols(entry: Any, *, sure: bool) -> tuple[str, ...]:
    said = str(within(entry, "protocol")).lower()
    if said in _OTHERS or (said.isdigit() and said not in _PROTOCOLS):
        # One of the other protocols is not all of them.
        return () if sure else (OTHER,)
    return _PROTOCOLS.get(said, () if sure else PROTOCOLS)


def _ports(entry: Any, *, sure: bool) -> Ports:
    ports = within(entry, "ports")
    if ports is None:
        return ANY_PORT
    entries = listed(ports)
    return ports_of(entries if entries is not UNKNOWN else [UNKNOWN], sure=sure)


def _routed(network: Resource, own: Space, resources: Sequence[Resource]) -> Space:
    """The addresses to which a route leads; no route leads to nowhere on purpose."""
    if network.at("deleteDefaultRoutesOnCreate") is not True:
        return EVERYWHERE
    found = own
    for route in resources:
        if route.type == ROUTE and _may_be_in(route, network, resources):
            found |= _addresses([route.at("destRange")], sure=False)
    return found
