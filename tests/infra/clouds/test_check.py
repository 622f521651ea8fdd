"""Values that the SDKs' classes do not allow; ids and replacements that the stand-ins know."""

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
        ("azure-vm", "hardwareProfile.size", "Standard_DC4as_v5", "unknown property 'size'"),
        ("azure-vm", "securityProfile.securityType", "ConfidentialVm", "must be one of TrustedLaunch, ConfidentialVM."),
        ("azure-vm", "securityProfile.encryptionAtHost", "false", "'false' is not of type boolean."),
        ("azure-vm", "zones", "1", "'1' is not a list."),
        ("azure-vm", "storageProfile.osDisk.diskSizeGB", 10.5, "10.5 is not of type integer."),
        ("azure-vm", "tags.cost-centre", 4711, "4711 is not of type string."),
        ("azure-vm", "networkProfile", [], "[] is not an object of NetworkProfileArgs."),
        ("azure-nsg", "securityRules[0].access", "Refuse", "'Refuse' must be one of Allow, Deny."),
        ("gcp-instance-snp", "confidentialInstanceConfig.type", "SEV_SNP", "unknown property 'type'"),
        ("gcp-instance-snp", "shieldedInstanceConfig.enableVtpm", 1, "1 is not of type boolean."),
        ("gcp-firewall-ingress", "direction", "IN", "'IN' must be one of INGRESS, EGRESS."),
        ("gcp-instance-snp", "labels", ["managed-by"], "['managed-by'] is not a map."),
    ],
)
def test_wrong_value_fails_once_with_its_path(name: str, path: str, value: Any, sentence: str):
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
def test_missing_required_property_fails(name: str, path: str, place: str):
    last = path.rpartition(".")[2]
    assert failures(name, {}, (path,)) == [(place, f"the property {last!r} is missing.")]


@pytest.mark.parametrize(
    "token", ["azure-native:compute:Machine", "gcp:compute/instance:Machine", "docker:index:Image"]
)
def test_type_unknown_to_the_sdk_is_rejected(token: str):
    with pytest.raises(SchemaError):
        schema.resource(token)


def test_type_without_a_known_id_is_rejected():
    with pytest.raises(SchemaError, match="does not know the id of"):
        catalogue.cloud_type("azure-native:compute:AvailabilitySet")


@pytest.mark.parametrize(
    ("token", "path", "replaced"),
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
def test_change_updates_or_replaces(token: str, path: str, replaced: bool):
    assert catalogue.unchangeable(token, path) is replaced


def test_ids_follow_the_clouds_format():
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
