"""Refusals that depend on other resources: one change to an accepted world causes one of them."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra.clouds import azure, relations
from tests.infra.clouds.relation import RELATIONS
from tests.infra.clouds.world import CloudResource, World

GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/lab"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/lab01234567"
PROJECT = "projects/my-project"
RING = f"{PROJECT}/locations/europe-west4/keyRings/lab"
SUBNETWORK = f"{PROJECT}/regions/europe-west4/subnetworks/lab"
GALLERY = f"{COMPUTE}/galleries/images"

Break = Callable[[World, dict[str, Any]], None]


def accepted(name: str) -> CloudResource:
    value = json.loads((Path(__file__).parent / "accepted" / f"{name}.json").read_text())
    return CloudResource(value["type"], value["inputs"], {})


def world() -> World:
    """A cloud with everything that the accepted resources need."""
    return World(
        {
            GROUP: CloudResource("azure-native:resources:ResourceGroup", {}, {}),
            f"{NETWORK}/virtualNetworks/lab": CloudResource("azure-native:network:VirtualNetwork", {}, {}),
            f"{NETWORK}/virtualNetworks/lab/subnets/lab": accepted("azure-subnet"),
            f"{NETWORK}/networkInterfaces/trainer": accepted("azure-nic"),
            f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/lab": CloudResource(
                "identity", {}, {}
            ),
            GALLERY: CloudResource("azure-native:compute:Gallery", {}, {}),
            f"{GALLERY}/images/base": CloudResource(
                "azure-native:compute:GalleryImage",
                {
                    "osState": "Specialized",
                    "hyperVGeneration": "V2",
                    "features": [{"name": "SecurityType", "value": "ConfidentialVmSupported"}],
                },
                {},
            ),
            f"{GALLERY}/images/base/versions/1.0.0": CloudResource(
                "azure-native:compute:GalleryImageVersion",
                {"publishingProfile": {"targetRegions": [{"name": "northeurope"}, {"name": "westeurope"}]}},
                {},
            ),
            VAULT: accepted("azure-vault"),
            f"{VAULT}/keys/disks": accepted("azure-key"),
            f"{COMPUTE}/diskEncryptionSets/disks": CloudResource(
                azure.ENCRYPTION_SET,
                accepted("azure-encryption-set").inputs,
                {"identity": {"principalId": "the-set", "tenantId": "t"}},
            ),
            f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/may-encrypt": CloudResource(
                azure.ROLE_ASSIGNMENT,
                {
                    "principalId": "the-set",
                    "scope": VAULT,
                    "roleDefinitionId": "/roleDefinitions/e147488a-f6f5-4113-8e2d-b22465e65bf6",
                },
                {},
            ),
            f"{PROJECT}/global/networks/lab": CloudResource("gcp:compute/network:Network", {"name": "lab"}, {}),
            SUBNETWORK: CloudResource(
                "gcp:compute/subnetwork:Subnetwork",
                {"ipCidrRange": "10.99.0.0/24", "network": f"{PROJECT}/global/networks/lab"},
                {},
            ),
            RING: CloudResource("gcp:kms/keyRing:KeyRing", {"name": "lab"}, {}),
            f"{RING}/cryptoKeys/disks": accepted("gcp-crypto-key"),
            "the-key's-member": accepted("gcp-key-member"),
            f"{PROJECT}/global/images/cloister-base": CloudResource(
                "gcp:compute/image:Image",
                {"guestOsFeatures": [{"type": "SEV_SNP_CAPABLE"}, {"type": "TDX_CAPABLE"}]},
                {},
            ),
        }
    )


IDENTITIES = {
    "azure-vm": f"{COMPUTE}/virtualMachines/trainer",
    "azure-vm-customer-key": f"{COMPUTE}/virtualMachines/trainer",
    "azure-nic": f"{NETWORK}/networkInterfaces/another",
    "azure-vault": f"{GROUP}/providers/Microsoft.KeyVault/vaults/another",
    "azure-key": f"{VAULT}/keys/another",
    "azure-role-assignment": f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/one",
    "gcp-instance-snp": f"{PROJECT}/zones/europe-west4-b/instances/trainer",
    "gcp-route": f"{PROJECT}/global/routes/replies",
}


def start(name: str) -> dict[str, Any]:
    inputs = accepted(name).inputs
    if name == "azure-nic":
        inputs["ipConfigurations"][0]["privateIPAddress"] = "10.99.0.11"
    if name == "azure-vault":
        inputs["vaultName"] = "another"
    if name == "gcp-instance-snp":
        inputs["networkInterfaces"][0] |= {"network": f"{PROJECT}/global/networks/lab", "subnetwork": SUBNETWORK}
    if name == "gcp-route":
        inputs["network"] = f"{PROJECT}/global/networks/lab"
    return inputs


def another_vm(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{COMPUTE}/virtualMachines/another"] = CloudResource(azure.VM, copy.deepcopy(inputs), {})


def accelerated(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{NETWORK}/networkInterfaces/trainer"].inputs["enableAcceleratedNetworking"] = True


def plain_set(world: World, inputs: dict[str, Any]) -> None:
    found = world.resources[f"{COMPUTE}/diskEncryptionSets/disks"]
    found.inputs["encryptionType"] = "EncryptionAtRestWithCustomerKey"


def no_role(world: World, inputs: dict[str, Any]) -> None:
    del world.resources[f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/may-encrypt"]


def generalized(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{GALLERY}/images/base"].inputs["osState"] = "Generalized"


def plain_image(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{GALLERY}/images/base"].inputs["features"] = []


def reserved(world: World, inputs: dict[str, Any]) -> None:
    inputs["ipConfigurations"][0]["privateIPAddress"] = "10.99.0.3"


def taken(world: World, inputs: dict[str, Any]) -> None:
    inputs["ipConfigurations"][0]["privateIPAddress"] = "10.99.0.10"


def once_deleted(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{azure.DELETED}another"] = CloudResource(azure.VAULT, {}, {})


def standard_vault(world: World, inputs: dict[str, Any]) -> None:
    world.resources[VAULT].inputs["properties"]["sku"]["name"] = "standard"


def elsewhere(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/one"] = accepted(
        "azure-role-assignment"
    )


def other_principal(world: World, inputs: dict[str, Any]) -> None:
    world.resources[IDENTITIES["azure-role-assignment"]] = accepted("azure-role-assignment")
    inputs["principalId"] = "another-principal"


def gcp_reserved(world: World, inputs: dict[str, Any]) -> None:
    inputs["networkInterfaces"][0]["networkIp"] = "10.99.0.254"


def other_region(world: World, inputs: dict[str, Any]) -> None:
    subnetwork = SUBNETWORK.replace("europe-west4", "europe-west1")
    world.resources[subnetwork] = world.resources[SUBNETWORK]
    inputs["networkInterfaces"][0]["subnetwork"] = subnetwork


def other_key(world: World, inputs: dict[str, Any]) -> None:
    key = f"{RING}/cryptoKeys/disks".replace("europe-west4", "europe-west1")
    world.resources[key] = world.resources[f"{RING}/cryptoKeys/disks"]
    world.resources["the-key's-member"].inputs["cryptoKeyId"] = key
    inputs["bootDisk"]["kmsKeySelfLink"] = key


def no_member(world: World, inputs: dict[str, Any]) -> None:
    world.resources["the-key's-member"].inputs["member"] = "serviceAccount:lab@my-project.iam.gserviceaccount.com"


def incapable(world: World, inputs: dict[str, Any]) -> None:
    world.resources[f"{PROJECT}/global/images/cloister-base"].inputs["guestOsFeatures"].pop(0)


def running(world: World, inputs: dict[str, Any]) -> None:
    world.resources[IDENTITIES["gcp-instance-snp"]] = CloudResource(
        "gcp:compute/instance:Instance", copy.deepcopy(inputs), {}
    )
    inputs["machineType"] = "n2d-standard-8"


def inside(world: World, inputs: dict[str, Any]) -> None:
    inputs["destRange"] = "10.99.0.128/25"


def far_away(there: World, inputs: dict[str, Any]) -> None:
    inputs["location"] = "swedencentral"


BREAKS: list[tuple[str, Break, str]] = [
    ("azure-vm", another_vm, "interface_of_another"),
    ("azure-vm", accelerated, "accelerated_interface"),
    ("azure-vm-customer-key", plain_set, "encryption_set_for_others"),
    ("azure-vm-customer-key", no_role, "encryption_set_without_role"),
    ("azure-vm", generalized, "profile_of_the_image"),
    ("azure-vm", plain_image, "image_for_others"),
    ("azure-vm", far_away, "image_elsewhere"),
    ("azure-nic", reserved, "azure_address"),
    ("azure-nic", taken, "azure_address"),
    ("azure-vault", once_deleted, "name_of_a_deleted_vault"),
    ("azure-key", standard_vault, "hsm_of_a_standard_vault"),
    ("azure-role-assignment", elsewhere, "role_assignment_elsewhere"),
    ("azure-role-assignment", other_principal, "changed_role_assignment"),
    ("gcp-instance-snp", gcp_reserved, "gcp_address"),
    ("gcp-instance-snp", other_region, "subnetwork_elsewhere"),
    ("gcp-instance-snp", other_key, "key_elsewhere"),
    ("gcp-instance-snp", no_member, "key_without_role"),
    ("gcp-instance-snp", incapable, "image_without_feature"),
    ("gcp-instance-snp", running, "changed_while_running"),
    ("gcp-route", inside, "route_in_a_subnetwork"),
]


@pytest.mark.parametrize("name", IDENTITIES)
def test_resource_with_its_dependencies_is_accepted(name: str):
    there, inputs = world(), start(name)
    kind = accepted(name).type
    assert relations.of_missing(IDENTITIES[name], inputs, there) == []
    assert relations.of(there, IDENTITIES[name], kind, inputs) == []


@pytest.mark.parametrize(("name", "breaks", "relation"), BREAKS, ids=[breaks.__name__ for _, breaks, _ in BREAKS])
def test_one_change_to_other_resources_causes_one_refusal(name: str, breaks: Break, relation: str):
    there, inputs = world(), start(name)
    breaks(there, inputs)
    sentences = [one.sentence for one in RELATIONS if one.name == relation]
    assert relations.of(there, IDENTITIES[name], accepted(name).type, inputs) == sentences


def test_every_relation_has_a_test():
    assert {one.name for one in RELATIONS} == {relation for _, _, relation in BREAKS}
    assert all(one.sentence.endswith(".") and len(one.source) > 15 for one in RELATIONS)


@pytest.mark.parametrize(
    "gone", [GROUP, f"{NETWORK}/networkInterfaces/trainer", f"{GALLERY}/images/base/versions/1.0.0"]
)
def test_missing_reference_is_refused(gone: str):
    there = world()
    del there.resources[gone]
    missing = relations.of_missing(IDENTITIES["azure-vm"], start("azure-vm"), there)
    assert missing == [f"{gone} was not found."]


def test_resource_in_use_cannot_be_deleted():
    there = world()
    subnet = f"{NETWORK}/virtualNetworks/lab/subnets/lab"
    assert relations.of_deleting(there, subnet) == [f"{subnet} is in use by {NETWORK}/networkInterfaces/trainer."]
    del there.resources[f"{NETWORK}/networkInterfaces/trainer"]
    assert relations.of_deleting(there, subnet) == []


def test_protected_resource_cannot_be_deleted():
    there = world()
    there.resources["one"] = CloudResource("gcp:compute/instance:Instance", {"deletionProtection": True}, {})
    there.resources["two"] = CloudResource("gcp:kms/cryptoKey:CryptoKey", {"deletionPolicy": "PREVENT"}, {})
    assert relations.of_deleting(there, "one") == ["one has deletionProtection."]
    assert relations.of_deleting(there, "two") == ["two has the deletionPolicy PREVENT."]
