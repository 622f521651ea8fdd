"""Who can reach what, computed from the declared resources."""

import ipaddress
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.reach import azure, excess, gcp, graph
from infra.reach.address_set import EVERYWHERE, INTERNET, NOWHERE, AddressSet
from infra.reach.packet_filter import ANY_PORT, PROTOCOLS, FilterRule, allowed_traffic
from infra.resources.resource import UNKNOWN, Resource, from_state
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM
from tests.infra import declarations
from tests.infra.guard.test_guard import REMOVED, changed

GROUP = "azure-native:network:NetworkSecurityGroup rules"
SUBNET = "azure-native:network:Subnet cvms"
ROUTES = "azure-native:network:RouteTable routes"
VM = "azure-native:compute:VirtualMachine trainer"
INTERFACE = "azure-native:network:NetworkInterface trainer"
INSTANCE = "gcp:compute/instance:Instance trainer"
AGENT = "gcp:compute/firewall:Firewall cloister-lab-allow-agent"
EGRESS = "gcp:compute/firewall:Firewall cloister-lab-deny-egress"
DENIED = "gcp:compute/firewall:Firewall cloister-lab-deny-ingress"
REPLY = "gcp:compute/route:Route cloister-lab-replies-198-51-100-0-24"
VPC = "gcp:compute/network:Network cloister-lab"


def sentences(name: str, *changes: tuple[str, str, Any]) -> list[str]:
    """The sentences for a declaration with changed (title, path, value) or removed (title, "", None) resources."""
    resources = []
    for one in declarations.resources(name):
        title = f"{one.type} {one.name}"
        mine = [(path, value) for other, path, value in changes if other == title]
        if any(not path for path, _ in mine):
            continue
        for path, value in mine:
            one = replace(one, inputs=changed(one.inputs, path, value))
        resources.append(one)
    return graph.build(name.partition("-")[0], resources).sentences()


def rule(name: str, direction: str, access: str, priority: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "direction": direction,
        "access": access,
        "priority": priority,
        "protocol": "*",
        "sourcePortRange": "*",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "*",
    } | more


DENY_IN, DENY_OUT = rule("in", "Inbound", "Deny", 4096), rule("out", "Outbound", "Deny", 4096)


def test_two_public_machines_on_azure():
    assert sentences("azure-public-tdx") == [
        "the internet -> evaluator:6110 from 198.51.100.0/24, 203.0.113.7/32",
        "the internet -> trainer:6110 from 198.51.100.0/24, 203.0.113.7/32",
        "evaluator -> the platform: host, metadata",
        "trainer -> the platform: host, metadata",
        "evaluator -> nothing else",
        "trainer -> nothing else",
        "other workspaces -> nothing",
    ]


def test_a_private_machine_on_azure():
    assert sentences("azure-private-snp") == [
        "a joined network -> trainer:6110 from 10.20.0.0/16 (none joined)",
        "trainer -> the platform: host, metadata",
        "trainer -> nothing else",
        "the internet -> nothing",
        "other workspaces -> nothing",
    ]


def test_two_public_machines_on_google_cloud():
    assert sentences("gcp-public-tdx") == [
        "the internet -> evaluator:6110 from 198.51.100.0/24, 203.0.113.7/32",
        "the internet -> trainer:6110 from 198.51.100.0/24, 203.0.113.7/32",
        "evaluator -> the platform: metadata, names",
        "trainer -> the platform: metadata, names",
        "evaluator -> nothing else",
        "trainer -> nothing else",
        "other workspaces -> nothing",
    ]


def test_a_private_machine_on_google_cloud():
    assert sentences("gcp-private-snp") == [
        "the cloud's services -> trainer:6110 from 35.235.240.0/20",
        "trainer -> the platform: metadata, names",
        "trainer -> nothing else",
        "the internet -> nothing",
        "other workspaces -> nothing",
    ]


def test_private_machine_on_google_cloud_before_a_network_is_joined():
    assert sentences("gcp-private-snp", (AGENT, "sourceRanges", ["10.20.0.0/16"]))[0] == (
        "a joined network -> trainer:6110 from 10.20.0.0/16 (none joined)"
    )


def test_machine_of_a_local_workspace():
    machine = Resource(LOCAL_CVM, "trainer", {"port": 6110.0})
    assert graph.build("local", [Resource(LOCAL_AUTHORITY, "authority", {}), machine]).sentences() == [
        "this machine -> trainer:6110",
        "trainer -> nothing",
        "the internet -> nothing",
        "other workspaces -> nothing",
    ]


def test_graph_as_json():
    assert graph.build("local", [Resource(LOCAL_CVM, "trainer", {"port": 6110})]).value() == {
        "cvms": ["trainer"],
        "links": [],
        "edges": [{"source": "this machine", "target": "trainer", "service": "tcp/6110", "addresses": ()}],
    }


# Changes that open the network: (declaration, changes, expected sentence).
OPENED: list[tuple[str, list[tuple[str, str, Any]], str]] = [
    (
        "azure-public-tdx",
        [(GROUP, "", None)],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    ("azure-public-tdx", [(SUBNET, "networkSecurityGroup", REMOVED)], "trainer -> evaluator over any protocol"),
    (
        "azure-public-tdx",
        [(SUBNET, "networkSecurityGroup", {"id": "/of/another"})],
        "trainer -> evaluator over any protocol",
    ),
    (
        "azure-public-tdx",
        [(ROUTES, "routes", [])],
        "the internet -> trainer:6110 from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules.0.sourceAddressPrefixes", ["0.0.0.0/0"]), (ROUTES, "routes", [])],
        "the internet -> trainer:6110 from everywhere",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules.0.sourceAddressPrefixes", UNKNOWN), (ROUTES, "routes", [])],
        "the internet -> trainer:6110 from everywhere",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules.0.destinationPortRange", "22")],
        "the internet -> trainer:22 from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules.0.destinationPortRange", UNKNOWN)],
        "the internet -> trainer over tcp from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules.0.protocol", "Udp")],
        "the internet -> trainer over udp/6110 from 198.51.100.0/24, 203.0.113.7/32",
    ),
    # A service tag with unknown addresses counts as all addresses in an allow rule.
    (
        "azure-public-tdx",
        [
            (GROUP, "securityRules.0.sourceAddressPrefixes", REMOVED),
            (GROUP, "securityRules.0.sourceAddressPrefix", "AzureCloud"),
            (ROUTES, "routes", []),
        ],
        "the internet -> trainer:6110 from everywhere",
    ),
    # Without the deny rule, Azure's default rules allow everything outbound, and inbound from VirtualNetwork, which
    # includes the prefixes of routes: here all addresses.
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN])],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_OUT])],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    # A deny rule counts only if it certainly applies, and before the allow rules.
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN | {"priority": UNKNOWN}, DENY_OUT])],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN | {"sourcePortRange": "1024"}, DENY_OUT])],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN | {"sourceAddressPrefix": "AzureCloud"}, DENY_OUT])],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN | {"sourceAddressPrefixes": UNKNOWN}, DENY_OUT])],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN | {"sourceApplicationSecurityGroups": [{"id": "some"}]}, DENY_OUT])],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [(GROUP, "securityRules", [DENY_IN, DENY_OUT | {"destinationAddressPrefix": "Internet"}])],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "azure-public-tdx",
        [
            (
                GROUP,
                "securityRules",
                [DENY_IN, rule("ssh", "Inbound", "Allow", 4000, destinationPortRange="22"), DENY_OUT],
            )
        ],
        "the internet -> trainer:22 from 198.51.100.0/24, 203.0.113.7/32",
    ),
    ("azure-public-tdx", [(GROUP, "securityRules", UNKNOWN)], "trainer -> evaluator over any protocol"),
    ("azure-public-tdx", [(GROUP, "securityRules.3", DENY_OUT)], "trainer -> the platform: host, metadata, names"),
    ("azure-public-tdx", [(INTERFACE, "", None)], "the internet -> trainer over any protocol from everywhere"),
    (
        "azure-private-snp",
        [
            (SUBNET, "defaultOutboundAccess", REMOVED),
            (SUBNET, "routeTable", REMOVED),
            (GROUP, "securityRules.5", DENY_IN),
        ],
        "trainer -> the internet over any protocol from everywhere".replace("from", "to"),
    ),
    (
        "gcp-public-tdx",
        [(AGENT, "allows.0.ports", ["22"])],
        "the internet -> trainer:22 from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(AGENT, "allows.0.ports", UNKNOWN)],
        "the internet -> trainer over tcp from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(AGENT, "allows.0.protocol", "all"), (AGENT, "allows.0.ports", REMOVED)],
        "the internet -> trainer over any protocol from 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(AGENT, "sourceRanges", ["0.0.0.0/0"]), (VPC, "deleteDefaultRoutesOnCreate", REMOVED)],
        "the internet -> trainer:6110 from everywhere",
    ),
    (
        "gcp-public-tdx",
        [(AGENT, "sourceRanges", REMOVED), (VPC, "deleteDefaultRoutesOnCreate", False)],
        "the internet -> trainer:6110 from everywhere",
    ),
    (
        "gcp-public-tdx",
        [(EGRESS, "", None)],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(EGRESS, "disabled", True)],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(EGRESS, "disabled", UNKNOWN)],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(EGRESS, "targetTags", ["some"])],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(EGRESS, "network", "projects/other/global/networks/other")],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(EGRESS, "denies.0.protocol", "tcp")],
        "trainer -> the internet over udp to 198.51.100.0/24, 203.0.113.7/32",
    ),
    # The implied rule allows outbound what no earlier rule denies; of equal priorities, deny decides.
    (
        "gcp-public-tdx",
        [(EGRESS, "priority", UNKNOWN)],
        "trainer -> the internet over any protocol to 198.51.100.0/24, 203.0.113.7/32",
    ),
    (
        "gcp-public-tdx",
        [(INSTANCE, "networkInterfaces", UNKNOWN)],
        "the internet -> trainer over any protocol from everywhere",
    ),
    ("gcp-public-tdx", [(VPC, "", None)], "the internet -> trainer over any protocol from everywhere"),
    (
        "gcp-public-tdx",
        [(REPLY, "destRange", "0.0.0.0/0"), (EGRESS, "", None)],
        "trainer -> the internet over any protocol to everywhere",
    ),
]


@pytest.mark.parametrize(("name", "changes", "sentence"), OPENED, ids=range(len(OPENED)))
def test_opening_the_network_is_shown(name: str, changes: list[tuple[str, str, Any]], sentence: str):
    found = sentences(name, *changes)
    assert sentence in found


# Changes that close the network.
CLOSED: list[tuple[str, list[tuple[str, str, Any]], str]] = [
    # Without a route for answers, no one on the internet can connect.
    (
        "azure-public-tdx",
        [(ROUTES, "routes", [{"addressPrefix": "0.0.0.0/0", "nextHopType": "None"}])],
        "the internet -> nothing",
    ),
    ("azure-public-tdx", [(GROUP, "securityRules.0.access", "Deny")], "the internet -> nothing"),
    ("azure-public-tdx", [(GROUP, "securityRules.1.priority", 99)], "the internet -> nothing"),
    ("gcp-public-tdx", [(AGENT, "disabled", True)], "the internet -> nothing"),
    ("gcp-public-tdx", [(DENIED, "priority", 1000)], "the internet -> nothing"),
    ("gcp-public-tdx", [(DENIED, "priority", 999)], "the internet -> nothing"),
    ("gcp-public-tdx", [(REPLY, "", None)], "the internet -> trainer:6110 from 203.0.113.7/32"),
    ("gcp-public-tdx", [(EGRESS, "priority", 65535)], "trainer -> nothing else"),
]


@pytest.mark.parametrize(("name", "changes", "sentence"), CLOSED, ids=range(len(CLOSED)))
def test_closing_the_network_is_shown(name: str, changes: list[tuple[str, str, Any]], sentence: str):
    assert sentence in sentences(name, *changes)


@pytest.mark.parametrize(
    ("name", "title", "path"),
    [
        ("azure-private-snp", GROUP, "securityRules.0.sourceAddressPrefixes"),
        ("gcp-private-snp", AGENT, "sourceRanges"),
    ],
)
def test_peering_joins_another_network(name: str, title: str, path: str):
    backend = name.partition("-")[0]
    resources = [one for one in declarations.resources(name) if f"{one.type} {one.name}" != title]
    rules = declarations.resource(name, title)
    resources.append(replace(rules, inputs=changed(rules.inputs, path, ["10.20.0.0/16"])))
    resources.append(Resource({"azure": azure.PEERING, "gcp": gcp.PEERING}[backend], "hub", {}))
    found = graph.build(backend, resources).sentences()
    assert "a joined network -> trainer:6110 from 10.20.0.0/16" in found
    assert "other workspaces -> nothing" not in found


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_graph_is_the_same_before_resources_exist(name: str):
    """The first preview knows no identifiers: references are then resolved through dependencies."""

    def hidden(value: Any) -> Any:
        known = {one.type.rpartition(":")[2] for one in declarations.resources(name)}
        if isinstance(value, str) and value.partition("/")[0] in known:
            return UNKNOWN
        if isinstance(value, dict):
            return {key: hidden(one) for key, one in value.items()}
        return [hidden(one) for one in value] if isinstance(value, list) else value

    backend = name.partition("-")[0]
    there = declarations.resources(name)
    unknown = [replace(one, inputs=hidden(one.inputs)) for one in there]
    assert unknown != there
    assert graph.build(backend, unknown) == graph.build(backend, there)


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_graph_from_state_equals_graph_from_program(name: str):
    def urn(key: tuple[str, str]) -> str:
        return f"urn:pulumi:lab::cloister::cloister:x:Workspace${key[0]}::{key[1]}"

    state = [
        {
            "urn": urn(one.key),
            "type": one.type,
            "id": f"{one.type.rpartition(':')[2]}/{one.name}",
            "inputs": one.inputs | {"secret": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}},
            "dependencies": [urn(key) for key in one.dependencies],
        }
        for one in declarations.resources(name)
    ]
    found = from_state(json.loads(json.dumps(state)))
    assert found[0].at("secret") is UNKNOWN
    backend = name.partition("-")[0]
    assert graph.build(backend, found) == graph.build(backend, declarations.resources(name))


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_backends_open_nothing_beyond_the_configuration(name: str):
    backend = name.partition("-")[0]
    machines = {"azure": azure, "gcp": gcp}[backend].machines(declarations.resources(name))
    assert len(machines) == len(declarations.configuration(name).cvms)
    assert excess.find(machines, declarations.configuration(name)) == []


def excess_of(name: str, title: str, path: str, value: Any, **configured: Any) -> list[str]:
    resources = [one for one in declarations.resources(name) if f"{one.type} {one.name}" != title]
    one = declarations.resource(name, title)
    resources.append(replace(one, inputs=changed(one.inputs, path, value)))
    machines = {"azure": azure, "gcp": gcp}[name.partition("-")[0]].machines(resources)
    return excess.find(machines, replace(declarations.configuration(name), **configured))


def test_other_port_is_excess_even_from_ingress():
    assert excess_of("azure-private-snp", GROUP, "securityRules.0.destinationPortRange", "22") == [
        "trainer accepts tcp/22 from 10.20.0.0/16, which workspace.ingress does not allow."
    ]


def test_other_source_is_excess_even_at_the_agents_port():
    assert excess_of("azure-private-snp", GROUP, "securityRules.0.sourceAddressPrefixes", ["10.20.0.0/15"]) == [
        "trainer accepts tcp/6110 from 10.21.0.0/16, which workspace.ingress does not allow."
    ]


def test_outbound_connection_is_excess():
    assert excess_of("gcp-private-snp", EGRESS, "denies.0.protocol", "tcp") == [
        "trainer can connect over udp to 10.99.0.0/24; a CVM must open no connection.",
        "trainer can connect over other protocols to 10.99.0.0/24; a CVM must open no connection.",
    ]


def test_public_address_is_excess_with_a_private_endpoint():
    assert excess_of("gcp-public-tdx", INSTANCE, "canIpForward", False, endpoint="private") == [
        "evaluator has a public address, but workspace.endpoint is private.",
        "trainer has a public address, but workspace.endpoint is private.",
    ]


networks = st.builds(
    lambda address, length: str(ipaddress.IPv4Network((address, length), strict=False)),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 32),
)
addresses = st.integers(0, (1 << 32) - 1)


def has(addresses: AddressSet, address: int) -> bool:
    return any(first <= address <= last for first, last in addresses.ranges)


@given(st.lists(networks, max_size=6), st.lists(networks, max_size=6), addresses)
def test_address_sets_behave_like_sets(one: list[str], other: list[str], address: int):
    left, right = AddressSet.of(one), AddressSet.of(other)
    in_left = any(ipaddress.IPv4Address(address) in ipaddress.IPv4Network(text) for text in one)
    in_right = any(ipaddress.IPv4Address(address) in ipaddress.IPv4Network(text) for text in other)
    assert has(left, address) == in_left
    assert has(left | right, address) == (in_left or in_right)
    assert has(left & right, address) == (in_left and in_right)
    assert has(left - right, address) == (in_left and not in_right)
    assert has(~left, address) == (not in_left)
    assert AddressSet.of(left.networks()) == left
    assert ((left | right) >= left) and (left >= (left & right))


rules = st.builds(
    FilterRule,
    st.booleans(),
    st.lists(st.sampled_from(PROTOCOLS), unique=True, min_size=1).map(tuple),
    st.sampled_from([ANY_PORT, ((22, 22),), ((1, 1023),), ((6000, 7000), (22, 80)), ()]),
    st.lists(networks, max_size=2).map(AddressSet.of),
)


@given(
    st.lists(rules, max_size=5).map(tuple),
    st.booleans(),
    st.sampled_from(PROTOCOLS),
    st.sampled_from([0, 22, 80, 1023, 1024, 6110, 65535]),
    addresses,
)
def test_first_matching_rule_decides(
    listed: tuple[FilterRule, ...], default_allow: bool, protocol: str, port: int, address: int
):
    def matches(one: FilterRule) -> bool:
        right_port = protocol == "other protocols" or any(first <= port <= last for first, last in one.ports)
        return protocol in one.protocols and right_port and has(one.addresses, address)

    wanted = next((one.allow for one in listed if matches(one)), default_allow)
    through = allowed_traffic(listed, default_allow=default_allow)
    found = any(
        one.protocol == protocol and one.ports[0] <= port <= one.ports[1] and has(one.addresses, address)
        for one in through
    )
    assert found == wanted


def test_internet_excludes_private_networks():
    assert INTERNET & AddressSet.of(["10.0.0.0/8", "192.168.0.0/16", "169.254.169.254/32"]) == NOWHERE
    assert INTERNET | ~INTERNET == EVERYWHERE
