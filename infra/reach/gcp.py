"""Evaluates the network of a workspace in Google Cloud: firewall rules, routes and external addresses.

A value that cannot be read widens what counts as allowed (an upper bound) and never what counts as denied (a lower
bound).

Sources: Google Cloud, Virtual Private Cloud, "VPC firewall rules" (implied rules, priorities, what is always allowed),
"Routes" (default route, subnet routes), "Private Google Access"; pulumi-gcp, compute.Firewall (default values).
"""

from collections.abc import Sequence
from typing import Any

from infra.reach.address_set import EVERYWHERE, NOWHERE, AddressSet
from infra.reach.machine import MachineReach, unrestricted
from infra.reach.packet_filter import (
    ANY_PORT,
    OTHER,
    PROTOCOLS,
    TCP,
    UDP,
    FilterRule,
    Ports,
    allowed_traffic,
    parse_ports,
    restrict,
)
from infra.resources.resource import UNKNOWN, Resource, linked, listed, within

MACHINE = "gcp:compute/instance:Instance"
SUBNET = "gcp:compute/subnetwork:Subnetwork"
NETWORK = "gcp:compute/network:Network"
FIREWALL = "gcp:compute/firewall:Firewall"
ROUTE = "gcp:compute/route:Route"
PEERING = "gcp:compute/networkPeering:NetworkPeering"

# Always allowed, whatever the rules are. The metadata server also resolves DNS names.
_PLATFORM = ("metadata", "names")
_METADATA = AddressSet.of(["169.254.169.254"])
ALWAYS_REACHABLE = _PLATFORM
"""Services of the host that every VM can reach."""

# "Routes", special routing paths: Identity-Aware Proxy (admits principals with a role for it), health checks of load
# balancers, and forwarding of DNS queries and calls for Google's services.
_SERVICES = AddressSet.of(
    ["35.235.240.0/20", "35.191.0.0/16", "130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22", "35.199.192.0/19"]
)
_PROTOCOLS_BY_NAME = {"tcp": (TCP,), "6": (TCP,), "udp": (UDP,), "17": (UDP,), "all": PROTOCOLS}
_OTHERS = ("icmp", "esp", "ah", "sctp", "ipip")
_INGRESS, _EGRESS = "INGRESS", "EGRESS"
_DEFAULT_PRIORITY = 1000


def machines(resources: Sequence[Resource]) -> tuple[MachineReach, ...]:
    """One for each declared instance."""
    return tuple(_machine(one, resources) for one in resources if one.type == MACHINE)


def _machine(machine: Resource, resources: Sequence[Resource]) -> MachineReach:
    interfaces = machine.entries("networkInterfaces")
    if interfaces is UNKNOWN or len(interfaces) != 1:
        return unrestricted(machine.name, _PLATFORM)
    interface = interfaces[0]
    subnet = linked(machine, within(interface, "subnetwork"), SUBNET, resources)
    network = linked(subnet, subnet.at("network"), NETWORK, resources) if subnet is not None else None
    if subnet is None or network is None:
        return unrestricted(machine.name, _PLATFORM)
    # A rule that may belong to another network counts if it allows, but not if it denies (see _rules).
    rules = [one for one in resources if one.type == FIREWALL and _may_be_in(one, network, resources)]
    allowed = {
        direction: allowed_traffic(_rules(rules, network, resources, direction), default_allow=direction == _EGRESS)
        for direction in _DIRECTIONS
    }
    routed = _routed_addresses(network, _addresses([subnet.at("ipCidrRange")], lower_bound=False), resources)
    public = any(within(interface, name) not in (None, []) for name in ("accessConfigs", "ipv6AccessConfigs"))
    return MachineReach(
        name=machine.name,
        inbound=restrict(allowed[_INGRESS], ~_METADATA),
        outbound=restrict(allowed[_EGRESS], routed - _METADATA),
        routed=routed,
        addresses=_addresses([within(interface, "networkIp")], lower_bound=False),
        network=_addresses([subnet.at("ipCidrRange")], lower_bound=True),
        cloud_services=_SERVICES,
        public=public,
        # Without an external address, Private Google Access still reaches Google's own services.
        internet_access=public or subnet.at("privateIpGoogleAccess") not in (None, False),
        platform_services=_PLATFORM,
    )


_DIRECTIONS = (_INGRESS, _EGRESS)


def _is_in(resource: Resource, network: Resource, resources: Sequence[Resource]) -> bool:
    return linked(resource, resource.at("network"), NETWORK, resources) == network


def _may_be_in(resource: Resource, network: Resource, resources: Sequence[Resource]) -> bool:
    found = linked(resource, resource.at("network"), NETWORK, resources)
    return found is None or found == network


def _rules(
    rules: Sequence[Resource], network: Resource, resources: Sequence[Resource], direction: str
) -> tuple[FilterRule, ...]:
    """In order of priority: the smallest number first; of equal priorities, deny rules first."""
    found: list[tuple[float, FilterRule]] = []
    for one in rules:
        declared = one.at("direction") or _INGRESS
        if declared not in (direction, UNKNOWN):
            continue
        certain = declared == direction and _is_in(one, network, resources)
        priority = one.at("priority")
        priority = _DEFAULT_PRIORITY if priority is None else priority
        known = isinstance(priority, int | float)
        for rule in _allowed(one, direction):
            found.append((float(priority) if known else 0, rule))
        if certain and known and one.at("disabled") in (None, False) and _applies_to_all(one):
            found += [(float(priority), rule) for rule in _denied(one, direction)]
    return tuple(rule for _, rule in sorted(found, key=lambda one: (one[0], one[1].allow)))


def _applies_to_all(rule: Resource) -> bool:
    """Whether a rule certainly applies to the machine: it names no targets."""
    return rule.at("targetTags") is None and rule.at("targetServiceAccounts") is None


def _allowed(rule: Resource, direction: str) -> list[FilterRule]:
    if rule.at("disabled") is True:
        return []
    entries = rule.entries("allows")
    if entries is UNKNOWN:
        return [FilterRule(allow=True)]
    addresses = _remote_addresses(rule, direction, lower_bound=False)
    return [
        FilterRule(True, _protocols(one, lower_bound=False), _ports(one, lower_bound=False), addresses)
        for one in entries
    ]


def _denied(rule: Resource, direction: str) -> list[FilterRule]:
    entries = rule.entries("denies")
    local = rule.at("destinationRanges" if direction == _INGRESS else "sourceRanges")
    if entries is UNKNOWN or local is not None:
        return []
    addresses = _remote_addresses(rule, direction, lower_bound=True)
    return [
        FilterRule(False, _protocols(one, lower_bound=True), _ports(one, lower_bound=True), addresses)
        for one in entries
    ]


def _remote_addresses(rule: Resource, direction: str, *, lower_bound: bool) -> AddressSet:
    """The addresses of the remote end: all if the rule names none. Those of a tag or service account are unknown."""
    names = ("sourceTags", "sourceServiceAccounts") if direction == _INGRESS else ()
    if any(rule.at(name) is not None for name in names):
        return NOWHERE if lower_bound else EVERYWHERE
    ranges = rule.at("sourceRanges" if direction == _INGRESS else "destinationRanges")
    if ranges is None:
        return EVERYWHERE
    entries = listed(ranges)
    return _addresses(entries if entries is not UNKNOWN else [UNKNOWN], lower_bound=lower_bound)


def _addresses(networks: Sequence[Any], *, lower_bound: bool) -> AddressSet:
    """The addresses of ``networks``: a lower bound or an upper bound."""
    found = NOWHERE
    for network in networks:
        if isinstance(network, str) and ":" in network:
            continue
        try:
            found |= AddressSet.of([network if isinstance(network, str) else ""])
        except ValueError:
            found |= NOWHERE if lower_bound else EVERYWHERE
    return found


def _protocols(entry: Any, *, lower_bound: bool) -> tuple[str, ...]:
    protocol = str(within(entry, "protocol")).lower()
    if protocol in _OTHERS or (protocol.isdigit() and protocol not in _PROTOCOLS_BY_NAME):
        # One of the other protocols: not enough to deny all of them.
        return () if lower_bound else (OTHER,)
    return _PROTOCOLS_BY_NAME.get(protocol, () if lower_bound else PROTOCOLS)


def _ports(entry: Any, *, lower_bound: bool) -> Ports:
    ports = within(entry, "ports")
    if ports is None:
        return ANY_PORT
    entries = listed(ports)
    return parse_ports(entries if entries is not UNKNOWN else [UNKNOWN], lower_bound=lower_bound)


def _routed_addresses(network: Resource, own: AddressSet, resources: Sequence[Resource]) -> AddressSet:
    """The addresses to which a route leads (upper bound)."""
    if network.at("deleteDefaultRoutesOnCreate") is not True:
        return EVERYWHERE
    found = own
    for route in resources:
        if route.type == ROUTE and _may_be_in(route, network, resources):
            found |= _addresses([route.at("destRange")], lower_bound=False)
    return found
