"""Who reaches whom in Azure, by network security groups, routes and public addresses.

Sources, all of them in Azure's documentation of Virtual Network: "Network security groups overview" (default rules,
order of priorities, platform services that only their own tags stop), "Virtual network service tags" (what each tag
stands for), "Virtual network traffic routing" (system routes, longest prefix) and "Default outbound access".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.reach.address_set import EVERYWHERE, NOWHERE, Space
from infra.reach.machine import Machine, open_to_all
from infra.reach.packet_filter import (
    ANY_PORT,
    OTHER,
    PROTOCOLS,
    TCP,
    UDP,
    Opening,
    Ports,
    Rule,
    narrowed,
    openings,
    ports_of,
)
from infra.resources.resource import UNKNOWN, Resource, linked, listed, within

_COMPUTE, _NETWORK = "azure-native:compute", "azure-native:network"
MACHINE = f"{_COMPUTE}:VirtualMachine"
INTERFACE = f"{_NETWORK}:NetworkInterface"
SUBNET = f"{_NETWORK}:Subnet"
VIRTUAL_NETWORK = f"{_NETWORK}:VirtualNetwork"
GROUP = f"{_NETWORK}:NetworkSecurityGroup"
ROUTES = f"{_NETWORK}:RouteTable"
PEERING = f"{_NETWORK}:VirtualNetworkPeering"

# The wire server answers at its own address whatever the rules say; the others are stopped by their tags alone.
_HOST = "host"
_PLATFORM = {"AzurePlatformIMDS": "metadata", "AzurePlatformDNS": "names", "AzurePlatformLKM": "licences"}
_PLATFORM_ADDRESSES = Space.of(["168.63.129.16", "169.254.169.254"])
# "Virtual network traffic routing", system routes: these lead nowhere unless the network itself has them.
_UNROUTED = Space.of(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"])
_PROTOCOLS = {"tcp": (TCP,), "udp": (UDP,), "icmp": (OTHER,), "esp": (OTHER,), "ah": (OTHER,), "*": PROTOCOLS}
_INBOUND, _OUTBOUND = "inbound", "outbound"
_DEFAULT = 65000

ALWAYS = ("host", "metadata")
"""Services of the host that every machine reaches: the guest has its boot configuration from them."""


@dataclass(frozen=True)
class Tagged:
    """What the tag VirtualNetwork stands for: ``least`` for sure, ``most`` perhaps."""

    least: Space
    most: Space


_ANYTHING = Tagged(NOWHERE, EVERYWHERE)


def machines(resources: Sequence[Resource]) -> tuple[Machine, ...]:
    """One for each virtual machine that is declared."""
    return tuple(_machine(one, resources) for one in resources if one.type == MACHINE)


def _machine(machine: Resource, resources: Sequence[Resource]) -> Machine:
    references = machine.entries("networkProfile", "networkInterfaces")
    nobody = open_to_all(machine.name, (_HOST, *_PLATFORM.values()))
    if references is UNKNOWN or len(references) != 1:
        return nobody
    interface = linked(machine, within(references[0], "id"), INTERFACE, resources)
    configurations = interface.entries("ipConfigurations") if interface is not None else UNKNOWN
    if interface is None or configurations is UNKNOWN or len(configurations) != 1:
        return nobody
    place = configurations[0]
    subnet = linked(interface, within(place, "subnet", "id"), SUBNET, resources)
    if subnet is None:
        return nobody
    network, perhaps = (_network(subnet, resources, sure=sure) for sure in (True, False))
    table = _linked_or_none(subnet, "routeTable", ROUTES, resources)
    # "The address prefixes used on user-defined routes" are among what the tag VirtualNetwork stands for.
    tagged = Tagged(network, perhaps | _prefixes(table))
    own = _addresses([within(place, "privateIPAddress")], _ANYTHING, sure=False)
    groups = [_linked_or_none(interface, "networkSecurityGroup", GROUP, resources)]
    groups.append(_linked_or_none(subnet, "networkSecurityGroup", GROUP, resources))
    walls = {way: _through(groups, way, own, tagged) for way in (_INBOUND, _OUTBOUND)}
    reachable = _routed(table, perhaps)
    # Behind both an address of its own and the default one that a subnet may give, what it begins gets out.
    public = within(place, "publicIPAddress") is not None
    leaves = public or subnet.at("defaultOutboundAccess") is not False or subnet.at("natGateway") is not None
    return Machine(
        name=machine.name,
        admits=narrowed(walls[_INBOUND], ~_PLATFORM_ADDRESSES),
        calls=narrowed(walls[_OUTBOUND], reachable - _PLATFORM_ADDRESSES),
        answers=reachable,
        addresses=own,
        network=network,
        services=NOWHERE,
        public=public,
        leaves=leaves,
        platform=_platform(groups),
    )


def _linked_or_none(resource: Resource, name: str, kind: str, among: Sequence[Resource]) -> Resource | None:
    return linked(resource, resource.at(name, "id"), kind, among)


def _network(subnet: Resource, resources: Sequence[Resource], *, sure: bool) -> Space:
    """The addresses of the virtual network of ``subnet``: when ``sure`` at least, else at most."""
    found = linked(subnet, subnet.at("virtualNetworkName"), VIRTUAL_NETWORK, resources)
    prefixes = found.entries("addressSpace", "addressPrefixes") if found is not None else UNKNOWN
    return _addresses([UNKNOWN] if prefixes is UNKNOWN else prefixes, _ANYTHING, sure=sure)


def _through(groups: Sequence[Resource | None], way: str, own: Space, network: Tagged) -> tuple[Opening, ...]:
    """Both groups must let it through; a network interface or subnet without one lets everything."""
    through = openings((), otherwise=True)
    for group in groups:
        if group is not None:
            through = _both(through, openings(_rules(group, way, own, network), otherwise=False))
    return through


def _both(one: Sequence[Opening], other: Sequence[Opening]) -> tuple[Opening, ...]:
    found = []
    for left in one:
        for right in other:
            first, last = max(left.ports[0], right.ports[0]), min(left.ports[1], right.ports[1])
            addresses = left.addresses & right.addresses
            if left.protocol == right.protocol and first <= last and addresses:
                found.append(Opening(left.protocol, (first, last), addresses))
    return tuple(found)


def _rules(group: Resource, way: str, own: Space, network: Tagged) -> tuple[Rule, ...]:
    """The rules of ``group`` and Azure's default ones, in the order in which they are asked."""
    declared = group.entries("securityRules")
    default = Rule(allow=True, addresses=network.most if way == _INBOUND else EVERYWHERE)
    if declared is UNKNOWN:
        return (Rule(allow=True),)
    # AllowVnetInBound, AllowVnetOutBound with AllowInternetOutBound; what none of them lets through is denied. What
    # load balancers ask comes from the host, which is left out anyway.
    found: list[tuple[float, Rule]] = [(_DEFAULT, default)]
    for entry in declared:
        rule = _rule(entry, way, own, network)
        if rule is not None:
            priority = within(entry, "priority")
            known = isinstance(priority, int | float) and not isinstance(priority, bool)
            # Where the order is not known, what allows comes first and what denies is not counted on.
            found.append((float(priority) if known else (0 if rule.allow else _DEFAULT + 1), rule))
    return tuple(rule for _, rule in sorted(found, key=lambda one: (one[0], not one[1].allow)))


def _rule(entry: Any, way: str, own: Space, network: Tagged) -> Rule | None:
    """None for a rule of the other direction, or for other machines. What is not known makes the rule allow more, or
    deny less.
    """
    direction = within(entry, "direction")
    if isinstance(direction, str) and direction.casefold() != way:
        return None
    access = within(entry, "access")
    allow = not (isinstance(access, str) and access.casefold() == "deny")
    if not allow and not isinstance(direction, str):
        return None
    sides = {side: _side(entry, side, network, sure=not allow) for side in ("source", "destination")}
    near, far = ("destination", "source") if way == _INBOUND else ("source", "destination")
    if not (sides[near] & own if allow else sides[near] >= own):
        return None
    if not allow and _ports(entry, "source", sure=True) != ANY_PORT:
        return None
    return Rule(allow, _protocols(entry, sure=not allow), _ports(entry, "destination", sure=not allow), sides[far])


def _side(entry: Any, side: str, network: Tagged, *, sure: bool) -> Space:
    prefixes = listed(within(entry, f"{side}AddressPrefixes"))
    if prefixes is UNKNOWN or within(entry, f"{side}ApplicationSecurityGroups") is not None:
        return NOWHERE if sure else EVERYWHERE
    single = within(entry, f"{side}AddressPrefix")
    return _addresses([*prefixes, *([] if single is None else [single])], network, sure=sure)


def _addresses(prefixes: Sequence[Any], network: Tagged, *, sure: bool) -> Space:
    """What ``prefixes`` stand for: when ``sure`` at least, else at most."""
    found = NOWHERE
    for prefix in prefixes:
        found |= _prefix(prefix, network, sure=sure)
    return found


def _prefix(prefix: Any, network: Tagged, *, sure: bool) -> Space:
    if prefix in ("*", "0.0.0.0/0"):
        return EVERYWHERE
    if prefix == "VirtualNetwork":
        return network.least if sure else network.most
    if prefix == "Internet":
        return ~network.most if sure else ~network.least
    if prefix == "AzureLoadBalancer" or prefix in _PLATFORM:
        return NOWHERE
    try:
        return Space.of([prefix if isinstance(prefix, str) else ""])
    except ValueError:
        # A tag, or a value that is not known.
        return NOWHERE if sure else EVERYWHERE


def _protocols(entry: Any, *, sure: bool) -> tuple[str, ...]:
    said = within(entry, "protocol")
    return _PROTOCOLS.get(str(said).casefold(), () if sure else PROTOCOLS)


def _ports(entry: Any, side: str, *, sure: bool) -> Ports:
    several = listed(within(entry, f"{side}PortRanges"))
    single = within(entry, f"{side}PortRange")
    if several is UNKNOWN or single is UNKNOWN:
        return () if sure else ANY_PORT
    texts = [*several, *([] if single is None else [single])]
    return ANY_PORT if "*" in texts else ports_of(texts, sure=sure)


def _prefixes(table: Resource | None) -> Space:
    """The prefixes of the routes that somebody wrote and that lead somewhere."""
    routes = table.entries("routes") if table is not None else ()
    if routes is UNKNOWN:
        return EVERYWHERE
    return _addresses([within(route, "addressPrefix") for route in routes], _ANYTHING, sure=False)


def _routed(table: Resource | None, network: Space) -> Space:
    """The addresses to which a route leads: the longest prefix decides, and of equal ones what somebody wrote."""
    routes = table.entries("routes") if table is not None else ()
    if routes is UNKNOWN:
        return EVERYWHERE
    written: list[tuple[int, bool, Space]] = []
    for route in routes:
        prefix, hop = within(route, "addressPrefix"), within(route, "nextHopType")
        nowhere = isinstance(hop, str) and hop.casefold() == "none"
        try:
            space = Space.of([prefix if isinstance(prefix, str) else ""])
        except ValueError:
            if nowhere:
                continue
            return EVERYWHERE
        written.append((int(str(prefix).partition("/")[2] or "32"), not nowhere, space))
    led, decided = NOWHERE, NOWHERE
    system = [(0, True, EVERYWHERE - _UNROUTED)] if not any(length == 0 for length, _, _ in written) else []
    own = [(33, True, network)]
    for _, leads, space in sorted([*written, *system, *own], key=lambda one: -one[0]):
        if leads:
            led |= space - decided
        decided |= space
    return led


def _platform(groups: Sequence[Resource | None]) -> tuple[str, ...]:
    """The services of the host that no outbound rule stops by its tag."""
    stopped: set[str] = set()
    for group in groups:
        declared = group.entries("securityRules") if group is not None else ()
        if declared is UNKNOWN:
            continue
        rules = sorted(declared, key=lambda entry: _number(within(entry, "priority")))
        for tag in _PLATFORM:
            named = [entry for entry in rules if within(entry, "destinationAddressPrefix") == tag]
            if named and _denies_everything(named[0]):
                stopped.add(tag)
    return (_HOST, *(name for tag, name in _PLATFORM.items() if tag not in stopped))


def _denies_everything(entry: Any) -> bool:
    words = (within(entry, "direction"), within(entry, "access"), within(entry, "protocol"))
    rest = [within(entry, name) for name in ("sourceAddressPrefix", "sourcePortRange", "destinationPortRange")]
    return [str(word).casefold() for word in words] == ["outbound", "deny", "*"] and rest == ["*"] * 3


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
