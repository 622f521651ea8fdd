"""Evaluates the network of a workspace in Azure: network security groups, routes and public addresses.

A value that cannot be read widens what counts as allowed (an upper bound) and never what counts as denied (a lower
bound).

Sources, all in the Azure Virtual Network documentation: "Network security groups overview" (default rules, order of
priorities, platform services that only their own service tags match), "Virtual network service tags" (what each tag
stands for), "Virtual network traffic routing" (system routes, longest prefix) and "Default outbound access".
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    Traffic,
    allowed_traffic,
    parse_ports,
    restrict,
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

# The wire server answers at its own address, whatever the rules are; only service tags match the others.
_HOST = "host"
_PLATFORM = {"AzurePlatformIMDS": "metadata", "AzurePlatformDNS": "names", "AzurePlatformLKM": "licences"}
_PLATFORM_ADDRESSES = AddressSet.of(["168.63.129.16", "169.254.169.254"])
# "Virtual network traffic routing", system routes: dropped, unless the network itself has these addresses.
_UNROUTED = AddressSet.of(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"])
_PROTOCOLS_BY_NAME = {"tcp": (TCP,), "udp": (UDP,), "icmp": (OTHER,), "esp": (OTHER,), "ah": (OTHER,), "*": PROTOCOLS}
_INBOUND, _OUTBOUND = "inbound", "outbound"
_DEFAULT = 65000

ALWAYS_REACHABLE = ("host", "metadata")
"""Services of the host that every VM can reach: the guest gets its boot configuration from them."""


@dataclass(frozen=True)
class VirtualNetworkTag:
    """The addresses of the service tag VirtualNetwork: a lower (``least``) and an upper bound (``most``)."""

    least: AddressSet
    most: AddressSet


_ANYTHING = VirtualNetworkTag(NOWHERE, EVERYWHERE)


def machines(resources: Sequence[Resource]) -> tuple[MachineReach, ...]:
    """One for each declared virtual machine."""
    return tuple(_machine(one, resources) for one in resources if one.type == MACHINE)


def _machine(machine: Resource, resources: Sequence[Resource]) -> MachineReach:
    references = machine.entries("networkProfile", "networkInterfaces")
    unreadable = unrestricted(machine.name, (_HOST, *_PLATFORM.values()))
    if references is UNKNOWN or len(references) != 1:
        return unreadable
    interface = linked(machine, within(references[0], "id"), INTERFACE, resources)
    configurations = interface.entries("ipConfigurations") if interface is not None else UNKNOWN
    if interface is None or configurations is UNKNOWN or len(configurations) != 1:
        return unreadable
    place = configurations[0]
    subnet = linked(interface, within(place, "subnet", "id"), SUBNET, resources)
    if subnet is None:
        return unreadable
    network = _network(subnet, resources, lower_bound=True)
    network_at_most = _network(subnet, resources, lower_bound=False)
    table = _linked_or_none(subnet, "routeTable", ROUTES, resources)
    # The tag VirtualNetwork includes "the address prefixes used on user-defined routes".
    tag = VirtualNetworkTag(network, network_at_most | _route_prefixes(table))
    own = _addresses([within(place, "privateIPAddress")], _ANYTHING, lower_bound=False)
    groups = [_linked_or_none(interface, "networkSecurityGroup", GROUP, resources)]
    groups.append(_linked_or_none(subnet, "networkSecurityGroup", GROUP, resources))
    allowed = {direction: _allowed_by(groups, direction, own, tag) for direction in (_INBOUND, _OUTBOUND)}
    reachable = _routed_addresses(table, network_at_most)
    # Its own public address, the subnet's default outbound address or a NAT gateway gives access to the internet.
    public = within(place, "publicIPAddress") is not None
    internet_access = public or subnet.at("defaultOutboundAccess") is not False or subnet.at("natGateway") is not None
    return MachineReach(
        name=machine.name,
        inbound=restrict(allowed[_INBOUND], ~_PLATFORM_ADDRESSES),
        outbound=restrict(allowed[_OUTBOUND], reachable - _PLATFORM_ADDRESSES),
        routed=reachable,
        addresses=own,
        network=network,
        cloud_services=NOWHERE,
        public=public,
        internet_access=internet_access,
        platform_services=_platform_services(groups),
    )


def _linked_or_none(resource: Resource, name: str, kind: str, among: Sequence[Resource]) -> Resource | None:
    return linked(resource, resource.at(name, "id"), kind, among)


def _network(subnet: Resource, resources: Sequence[Resource], *, lower_bound: bool) -> AddressSet:
    """The addresses of the virtual network of ``subnet``: a lower bound or an upper bound."""
    found = linked(subnet, subnet.at("virtualNetworkName"), VIRTUAL_NETWORK, resources)
    prefixes = found.entries("addressSpace", "addressPrefixes") if found is not None else UNKNOWN
    return _addresses([UNKNOWN] if prefixes is UNKNOWN else prefixes, _ANYTHING, lower_bound=lower_bound)


def _allowed_by(
    groups: Sequence[Resource | None], direction: str, own: AddressSet, network: VirtualNetworkTag
) -> tuple[Traffic, ...]:
    """Traffic that every group allows. A network interface or subnet without a group allows everything (None)."""
    traffic = allowed_traffic((), default_allow=True)
    for group in groups:
        if group is not None:
            traffic = _intersection(
                traffic, allowed_traffic(_rules(group, direction, own, network), default_allow=False)
            )
    return traffic


def _intersection(one: Sequence[Traffic], other: Sequence[Traffic]) -> tuple[Traffic, ...]:
    found = []
    for left in one:
        for right in other:
            first, last = max(left.ports[0], right.ports[0]), min(left.ports[1], right.ports[1])
            addresses = left.addresses & right.addresses
            if left.protocol == right.protocol and first <= last and addresses:
                found.append(Traffic(left.protocol, (first, last), addresses))
    return tuple(found)


def _rules(group: Resource, direction: str, own: AddressSet, network: VirtualNetworkTag) -> tuple[FilterRule, ...]:
    """The rules of ``group`` and Azure's default rules, in order of priority."""
    declared = group.entries("securityRules")
    default = FilterRule(allow=True, addresses=network.most if direction == _INBOUND else EVERYWHERE)
    if declared is UNKNOWN:
        return (FilterRule(allow=True),)
    # AllowVnetInBound, or AllowVnetOutBound with AllowInternetOutBound; everything else is denied. Probes of load
    # balancers come from the host, which is not considered here.
    found: list[tuple[float, FilterRule]] = [(_DEFAULT, default)]
    for entry in declared:
        rule = _rule(entry, direction, own, network)
        if rule is not None:
            priority = within(entry, "priority")
            known = isinstance(priority, int | float) and not isinstance(priority, bool)
            # With an unknown priority an allow rule counts as first, a deny rule as last.
            found.append((float(priority) if known else (0 if rule.allow else _DEFAULT + 1), rule))
    return tuple(rule for _, rule in sorted(found, key=lambda one: (one[0], not one[1].allow)))


def _rule(entry: Any, direction: str, own: AddressSet, network: VirtualNetworkTag) -> FilterRule | None:
    """None for a rule of the other direction, or for other machines. An unknown value makes the rule allow more, or
    deny less.
    """
    declared = within(entry, "direction")
    if isinstance(declared, str) and declared.casefold() != direction:
        return None
    access = within(entry, "access")
    allow = not (isinstance(access, str) and access.casefold() == "deny")
    if not allow and not isinstance(declared, str):
        return None
    sides = {side: _side_addresses(entry, side, network, lower_bound=not allow) for side in ("source", "destination")}
    local, remote = ("destination", "source") if direction == _INBOUND else ("source", "destination")
    if not (sides[local] & own if allow else sides[local] >= own):
        return None
    if not allow and _ports(entry, "source", lower_bound=True) != ANY_PORT:
        return None
    return FilterRule(
        allow,
        _protocols(entry, lower_bound=not allow),
        _ports(entry, "destination", lower_bound=not allow),
        sides[remote],
    )


def _side_addresses(entry: Any, side: str, network: VirtualNetworkTag, *, lower_bound: bool) -> AddressSet:
    prefixes = listed(within(entry, f"{side}AddressPrefixes"))
    if prefixes is UNKNOWN or within(entry, f"{side}ApplicationSecurityGroups") is not None:
        return NOWHERE if lower_bound else EVERYWHERE
    single = within(entry, f"{side}AddressPrefix")
    return _addresses([*prefixes, *([] if single is None else [single])], network, lower_bound=lower_bound)


def _addresses(prefixes: Sequence[Any], network: VirtualNetworkTag, *, lower_bound: bool) -> AddressSet:
    """The addresses that ``prefixes`` stand for: a lower bound or an upper bound."""
    found = NOWHERE
    for prefix in prefixes:
        found |= _prefix_addresses(prefix, network, lower_bound=lower_bound)
    return found


def _prefix_addresses(prefix: Any, network: VirtualNetworkTag, *, lower_bound: bool) -> AddressSet:
    if prefix in ("*", "0.0.0.0/0"):
        return EVERYWHERE
    if prefix == "VirtualNetwork":
        return network.least if lower_bound else network.most
    if prefix == "Internet":
        return ~network.most if lower_bound else ~network.least
    if prefix == "AzureLoadBalancer" or prefix in _PLATFORM:
        return NOWHERE
    try:
        return AddressSet.of([prefix if isinstance(prefix, str) else ""])
    except ValueError:
        # A service tag, or an unknown value.
        return NOWHERE if lower_bound else EVERYWHERE


def _protocols(entry: Any, *, lower_bound: bool) -> tuple[str, ...]:
    protocol = within(entry, "protocol")
    return _PROTOCOLS_BY_NAME.get(str(protocol).casefold(), () if lower_bound else PROTOCOLS)


def _ports(entry: Any, side: str, *, lower_bound: bool) -> Ports:
    plural = listed(within(entry, f"{side}PortRanges"))
    single = within(entry, f"{side}PortRange")
    if plural is UNKNOWN or single is UNKNOWN:
        return () if lower_bound else ANY_PORT
    texts = [*plural, *([] if single is None else [single])]
    return ANY_PORT if "*" in texts else parse_ports(texts, lower_bound=lower_bound)


def _route_prefixes(table: Resource | None) -> AddressSet:
    """The prefixes of the user-defined routes (upper bound)."""
    routes = table.entries("routes") if table is not None else ()
    if routes is UNKNOWN:
        return EVERYWHERE
    return _addresses([within(route, "addressPrefix") for route in routes], _ANYTHING, lower_bound=False)


def _routed_addresses(table: Resource | None, network: AddressSet) -> AddressSet:
    """The addresses to which a route leads. The longest prefix decides, then user-defined before system routes."""
    routes = table.entries("routes") if table is not None else ()
    if routes is UNKNOWN:
        return EVERYWHERE
    user_defined: list[tuple[int, bool, AddressSet]] = []
    for route in routes:
        prefix, hop = within(route, "addressPrefix"), within(route, "nextHopType")
        dropped = isinstance(hop, str) and hop.casefold() == "none"
        try:
            prefix_addresses = AddressSet.of([prefix if isinstance(prefix, str) else ""])
        except ValueError:
            if dropped:
                continue
            return EVERYWHERE
        user_defined.append((int(str(prefix).partition("/")[2] or "32"), not dropped, prefix_addresses))
    routed, decided = NOWHERE, NOWHERE
    system = [(0, True, EVERYWHERE - _UNROUTED)] if not any(length == 0 for length, _, _ in user_defined) else []
    local = [(33, True, network)]
    for _, forwards, prefix_addresses in sorted([*user_defined, *system, *local], key=lambda one: -one[0]):
        if forwards:
            routed |= prefix_addresses - decided
        decided |= prefix_addresses
    return routed


def _platform_services(groups: Sequence[Resource | None]) -> tuple[str, ...]:
    """The services of the host that no outbound rule blocks by their service tag."""
    blocked: set[str] = set()
    for group in groups:
        declared = group.entries("securityRules") if group is not None else ()
        if declared is UNKNOWN:
            continue
        rules = sorted(declared, key=lambda entry: _priority(within(entry, "priority")))
        for tag in _PLATFORM:
            named = [entry for entry in rules if within(entry, "destinationAddressPrefix") == tag]
            if named and _denies_everything(named[0]):
                blocked.add(tag)
    return (_HOST, *(name for tag, name in _PLATFORM.items() if tag not in blocked))


def _denies_everything(entry: Any) -> bool:
    key = (within(entry, "direction"), within(entry, "access"), within(entry, "protocol"))
    rest = [within(entry, name) for name in ("sourceAddressPrefix", "sourcePortRange", "destinationPortRange")]
    return [str(word).casefold() for word in key] == ["outbound", "deny", "*"] and rest == ["*"] * 3


def _priority(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
