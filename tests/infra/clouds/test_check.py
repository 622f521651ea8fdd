"""What the SDKs' own classes refuse, and what the stand-ins know of names and changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.infra.clouds import catalogue, check, schema
from tests.infra.clouds.schema import SchemaError
from tests.infra.clouds.test_refusals import changed

VM = "azure-native:compute:VirtualMachine"
INSTANCE = "gcp:compute/instance:Instance"


def failures(name: str, changes: dict[str, Any], without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    value = json.loads((Path(__file__).parent / "accepted" / f"{name}.json").read_text())
    return list(check.properties(schema.resource(value["type"]).inputs, changed(value["inputs"], changes, without)))


@pytest.mark.parametrize(
    ("name", "path", "value", "sentence"),
    [
        ("azure-vm", "hardwareProfile.size", "Standard_DC4as_v5", "there is no property 'size'"),
        ("azure-vm", "securityProfile.securityType", "ConfidentialVm", "is none of TrustedLaunch, ConfidentialVM."),
        ("azure-vm", "securityProfile.encryptionAtHost", "false", "'false' is not a truth value."),
        ("azure-vm", "zones", "1", "'1' is not a list."),
        ("azure-vm", "storageProfile.osDisk.diskSizeGB", 10.5, "10.5 is not a whole number."),
        ("azure-vm", "tags.cost-centre", 4711, "4711 is not a text."),
        ("azure-vm", "networkProfile", [], "[] is not what NetworkProfileArgs makes."),
        ("azure-nsg", "securityRules[0].access", "Refuse", "'Refuse' is none of Allow, Deny."),
        ("gcp-instance-snp", "confidentialInstanceConfig.type", "SEV_SNP", "there is no property 'type'"),
        ("gcp-instance-snp", "shieldedInstanceConfig.enableVtpm", 1, "1 is not a truth value."),
        ("gcp-firewall-ingress", "direction", "IN", "'IN' is none of INGRESS, EGRESS."),
        ("gcp-instance-snp", "labels", ["managed-by"], "['managed-by'] is not a map."),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_path(name: str, path: str, value: Any, sentence: str):
    found = failures(name, {path: value})
    assert [one for one, _ in found] == [path]
    assert sentence in found[0][1]


@pytest.mark.parametrize(
    ("name", "path", "place"),
    [
        ("azure-vm", "resourceGroupName", "resourceGroupName"),
        ("azure-vault", "properties.tenantId", "properties"),
        ("azure-nsg", "securityRules[0].access", "securityRules[0]"),
        ("gcp-instance-snp", "bootDisk", "bootDisk"),
        ("gcp-firewall-ingress", "allows[0].protocol", "allows[0]"),
        ("gcp-budget", "amount", "amount"),
    ],
)
def test_what_is_required_is_missed(name: str, path: str, place: str):
    last = path.rpartition(".")[2]
    assert failures(name, {}, (path,)) == [(place, f"the property {last!r} is missing.")]


@pytest.mark.parametrize(
    "token", ["azure-native:compute:Machine", "gcp:compute/instance:Machine", "docker:index:Image"]
)
def test_what_no_sdk_has_is_refused(token: str):
    with pytest.raises(SchemaError):
        schema.resource(token)


def test_a_type_without_a_known_name_is_refused():
    with pytest.raises(SchemaError, match="does not know how the cloud names"):
        catalogue.kind("azure-native:compute:AvailabilitySet")


@pytest.mark.parametrize(
    ("token", "path", "anew"),
    [
        (VM, "vmName", True),
        (VM, "resourceGroupName", True),
        (VM, "zones[0]", True),
        (VM, "userData", False),
        (VM, "hardwareProfile.vmSize", False),
        (VM, "tags.cost-centre", False),
        (INSTANCE, "zone", True),
        (INSTANCE, "confidentialInstanceConfig.confidentialInstanceType", True),
        (INSTANCE, "bootDisk.initializeParams.image", True),
        (INSTANCE, "metadata.cloister-boot-configuration", False),
        (INSTANCE, "machineType", False),
        (INSTANCE, "labels.cost-centre", False),
        ("gcp:compute/firewall:Firewall", "sourceRanges[0]", False),
        ("gcp:compute/firewall:Firewall", "direction", True),
        ("gcp:compute/subnetwork:Subnetwork", "region", True),
    ],
)
def test_a_change_updates_or_makes_anew(token: str, path: str, anew: bool):
    assert catalogue.unchangeable(token, path) is anew


def test_names_are_those_of_the_cloud():
    settings = {"subscriptionId": "s", "project": "my-project"}
    vm = {"resourceGroupName": "lab", "vmName": "trainer"}
    assert catalogue.identity(VM, vm, settings) == (
        "/subscriptions/s/resourceGroups/lab/providers/Microsoft.Compute/virtualMachines/trainer"
    )
    instance = {"zone": "europe-west4-b", "name": "trainer"}
    assert (
        catalogue.identity(INSTANCE, instance, settings) == "projects/my-project/zones/europe-west4-b/instances/trainer"
    )
    budget = {"scope": "/subscriptions/s", "budgetName": "lab"}
    assert catalogue.identity("azure-native:consumption:Budget", budget, settings) == (
        "/subscriptions/s/providers/Microsoft.Consumption/budgets/lab"
    )
