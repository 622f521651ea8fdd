"""What a program may declare beside a workspace: anything but a part of it."""

from dataclasses import replace
from typing import Any

import pytest

from infra.guard.guard import Guard
from infra.resources.resource import Resource
from infra.resources.types import WORKSPACE
from tests.infra import declarations
from tests.infra.guard.broken_inputs import AGENT

RULE = "azure-native:network:SecurityRule"
FIREWALL = "gcp:compute/firewall:Firewall"
IDS = "/subscriptions/s/resourceGroups"
NETWORKS = "projects/p/global/networks"
ACCOUNT = "serviceAccount:cloister-lab@p.iam.gserviceaccount.com"
MACHINE = "azure-native:compute:VirtualMachine"
CLASSIC_RULE = "azure:network/networkSecurityRule:NetworkSecurityRule"
PEERING = "gcp:compute/networkPeering:NetworkPeering"

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("azure-private-snp", RULE, {"resourceGroupName": "lab1a2b3c4d", "networkSecurityGroupName": "rules"}),
    ("azure-private-snp", RULE, {"resourceGroupName": "LAB1A2B3C4D"}),
    (
        "azure-private-snp",
        "azure-native:network:VirtualNetworkPeering",
        {"remoteVirtualNetwork": {"id": f"{IDS}/lab1a2b3c4d/providers/Microsoft.Network/virtualNetworks/network0"}},
    ),
    ("azure-private-snp", MACHINE, {"tags": {}, "subnets": [{"id": f"{IDS}/lab1a2b3c4/x"}]}),
    ("azure-private-snp", CLASSIC_RULE, {"resourceGroupName": "lab1a2b3c4d"}),
    ("gcp-private-snp", FIREWALL, {"network": "cloister-lab-1a2b3c4"}),
    ("gcp-private-snp", FIREWALL, {"network": f"compute/v1/{NETWORKS}/cloister-lab-1a2"}),
    ("gcp-private-snp", PEERING, {"network": "own", "peerNetwork": f"{NETWORKS}/cloister-lab-1a2"}),
    ("gcp-private-snp", "gcp:compute/instanceIAMMember:InstanceIAMMember", {"instanceName": "cloister-lab-trainer"}),
    ("gcp-private-snp", "gcp:projects/iAMMember:IAMMember", {"member": ACCOUNT}),
]

ALLOWED: list[tuple[str, str, dict[str, Any]]] = [
    ("azure-private-snp", RULE, {"resourceGroupName": "bastions", "networkSecurityGroupName": "rules"}),
    ("azure-private-snp", "azure-native:resources:ResourceGroup", {"resourceGroupName": "lab"}),
    ("azure-private-snp", RULE, {"resourceGroupName": "laboratory1a2b3c4d"}),
    ("gcp-private-snp", FIREWALL, {"network": "default", "allows": [{"protocol": "tcp", "ports": ["22"]}]}),
    ("gcp-private-snp", FIREWALL, {"network": "cloister-laboratory-1a2"}),
    ("gcp-private-snp", "gcp:storage/bucket:Bucket", {"name": "cloister-lab-results"}),
    ("gcp-private-snp", "gcp:dns/recordSet:RecordSet", {"rrdatas": ["10.99.0.186"]}),
    ("gcp-private-snp", "random:index/randomPet:RandomPet", {"prefix": "cloister-lab"}),
    ("gcp-private-snp", "pulumi:pulumi:StackReference", {"name": "organization/network/main"}),
]


def check(name: str, resource: Resource) -> list[str]:
    """What a guard says of ``resource`` after the whole workspace ``name``."""
    guard = Guard(declarations.configuration(name), alone=False)
    for one in declarations.resources(name):
        assert guard.check(own(one)) == []
    return guard.check(resource)


def own(resource: Resource) -> Resource:
    """The resource as a child of the workspace."""
    return replace(resource, parent=None if resource.type == WORKSPACE else (WORKSPACE, "lab"))


@pytest.mark.parametrize(("name", "kind", "inputs"), REFUSED)
def test_resource_that_names_a_part_of_the_workspace_is_refused(name: str, kind: str, inputs: dict[str, Any]):
    (sentence,) = check(name, Resource(kind, "other", inputs))
    assert sentence.endswith("which belongs to the workspace 'lab'; only that may change it.")


@pytest.mark.parametrize(("name", "kind", "inputs"), ALLOWED)
def test_rest_of_the_program_may_be_anything_else(name: str, kind: str, inputs: dict[str, Any]):
    assert check(name, Resource(kind, "other", inputs)) == []


def test_second_workspace_in_a_stack_is_refused():
    (sentence,) = check("gcp-private-snp", Resource(WORKSPACE, "other", {}))
    assert sentence == "the stack has the workspace 'lab' already; declare each in a stack of its own."


def test_child_of_the_workspace_is_checked_by_all_rules():
    guard = Guard(declarations.configuration("gcp-private-snp"), alone=False)
    pet = Resource("random:index/randomPet:RandomPet", "pet", {}, parent=(WORKSPACE, "lab"))
    assert "is not allowed in a workspace" in guard.check(pet)[0]
    agent = own(declarations.resource("gcp-private-snp", AGENT))
    ssh = replace(agent, name="ssh", inputs={**agent.inputs, "allows": [{"protocol": "tcp", "ports": ["22"]}]})
    assert guard.check(ssh) == ["it must allow only TCP to port 6110."]


def test_without_other_resources_every_one_is_checked():
    guard = Guard(declarations.configuration("gcp-private-snp"), alone=True)
    assert "is not allowed in a workspace" in guard.check(Resource("random:index/randomPet:RandomPet", "pet", {}))[0]
