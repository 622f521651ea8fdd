"""Who can reach what, computed from what is declared."""

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
    """What is said of a declaration in which resources have other inputs, or are not there."""
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


def test_a_private_machine_on_google_cloud_for_networks_to_come():
    assert sentences("gcp-private-snp", (AGENT, "sourceRanges", ["10.20.0.0/16"]))[0] == (
        "a joined network -> trainer:6110 from 10.20.0.0/16 (none joined)"
    )


def test_a_machine_on_this_one():
    machine = Resource(LOCAL_CVM, "trainer", {"port": 6110.0})
    assert graph.build("local", [Resource(LOCAL_AUTHORITY, "authority", {}), machine]).sentences() == [
        "this machine -> trainer:6110",
        "trainer -> nothing",
        "the internet -> nothing",
        "other workspaces -> nothing",
    ]


def test_the_same_as_data():
    assert graph.build("local", [Resource(LOCAL_CVM, "trainer", {"port": 6110})]).value() == {
        "cvms": ["trainer"],
        "links": [],
        "edges": [{"source": "this machine", "target": "trainer", "service": "tcp/6110", "addresses": ()}],
    }


# What opens more than is wanted: (declaration, changes, a sentence that must be said).
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
    # A tag that stands for addresses which nobody here knows allows all of them.
    (
        "azure-public-tdx",
        [
            (GROUP, "securityRules.0.sourceAddressPrefixes", REMOVED),
            (GROUP, "securityRules.0.sourceAddressPrefix", "AzureCloud"),
            (ROUTES, "routes", []),
        ],
        "the internet -> trainer:6110 from everywhere",
    ),
    # Without the rule that denies, Azure's own ones let everything out, and in from VirtualNetwork, which has the
    # prefixes of routes in it: here all there is.
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
    # A rule that denies counts when it is sure to be asked, and asked in time.
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
    # The implied rule lets out what no rule denies in time; of equal priorities, what denies decides.
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
def test_what_is_opened_is_said(name: str, changes: list[tuple[str, str, Any]], sentence: str):
    found = sentences(name, *changes)
    assert sentence in found


# What closes more than is wanted.
CLOSED: list[tuple[str, list[tuple[str, str, Any]], str]] = [
    # Without a route back, nobody over the internet is answered.
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
def test_what_is_closed_is_not_said(name: str, changes: list[tuple[str, str, Any]], sentence: str):
    assert sentence in sentences(name, *changes)


@pytest.mark.parametrize(
    ("name", "title", "path"),
    [
        ("azure-private-snp", GROUP, "securityRules.0.sourceAddressPrefixes"),
        ("gcp-private-snp", AGENT, "sourceRanges"),
    ],
)
def test_a_peering_joins_other_networks(name: str, title: str, path: str):
    backend = name.partition("-")[0]
    resources = [one for one in declarations.resources(name) if f"{one.type} {one.name}" != title]
    wall = declarations.resource(name, title)
    resources.append(replace(wall, inputs=changed(wall.inputs, path, ["10.20.0.0/16"])))
    resources.append(Resource({"azure": azure.PEERING, "gcp": gcp.PEERING}[backend], "hub", {}))
    found = graph.build(backend, resources).sentences()
    assert "a joined network -> trainer:6110 from 10.20.0.0/16" in found
    assert "other workspaces -> nothing" not in found


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_before_anything_is_made_the_same_is_found(name: str):
    """In the first preview no identifier is known: references are then resolved by dependencies."""

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
def test_the_state_says_the_same_as_the_program(name: str):
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
def test_what_the_backends_declare_is_no_more_than_configured(name: str):
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


def test_another_port_is_too_much_even_from_those_who_may_come():
    assert excess_of("azure-private-snp", GROUP, "securityRules.0.destinationPortRange", "22") == [
        "trainer accepts tcp/22 from 10.20.0.0/16, which workspace.ingress does not allow."
    ]


def test_somebody_else_is_too_much_even_at_the_agents_port():
    assert excess_of("azure-private-snp", GROUP, "securityRules.0.sourceAddressPrefixes", ["10.20.0.0/15"]) == [
        "trainer accepts tcp/6110 from 10.21.0.0/16, which workspace.ingress does not allow."
    ]


def test_whatever_a_machine_begins_is_too_much():
    assert excess_of("gcp-private-snp", EGRESS, "denies.0.protocol", "tcp") == [
        "trainer can connect over udp to 10.99.0.0/24; a CVM must open no connection.",
        "trainer can connect over other protocols to 10.99.0.0/24; a CVM must open no connection.",
    ]


def test_a_public_address_is_too_much_behind_a_private_endpoint():
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


def has(space: AddressSet, address: int) -> bool:
    return any(first <= address <= last for first, last in space.ranges)


@given(st.lists(networks, max_size=6), st.lists(networks, max_size=6), addresses)
def test_spaces_are_sets_of_addresses(one: list[str], other: list[str], address: int):
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
def test_the_first_rule_that_matches_decides(
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


def test_the_internet_is_not_what_is_private():
    assert INTERNET & AddressSet.of(["10.0.0.0/8", "192.168.0.0/16", "169.254.169.254/32"]) == NOWHERE
    assert INTERNET | ~INTERNET == EVERYWHERE
