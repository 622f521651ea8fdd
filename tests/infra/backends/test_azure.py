"""Workspaces in Azure, as they are declared."""

import base64
import json
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from cloister.errors import InputError
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from infra.backends import azure
from infra.backends.azure import keys, network
from infra.configuration import workspace
from infra.configuration.image import Image
from tests.infra import declared

CONFIGURATIONS = Path(__file__).parents[1] / "declarations"
VM = "azure-native:compute:VirtualMachine"
ADDRESS = "azure-native:network:PublicIPAddress"
KEY = "azure-native:keyvault:Key disks"
VAULT = "azure-native:keyvault:Vault keys"
SET = "azure-native:compute:DiskEncryptionSet disks"
ROLE = "azure-native:authorization:RoleAssignment"
WRAPS = "12345678-1234-1234-1234-123456789012"
VERSIONED = "https://keys.vault.azure.net/keys/disks/0123456789abcdef"
ANSWERS: dict[str, dict[str, Any]] = {
    f"{ADDRESS} trainer": {"ipAddress": "192.0.2.10"},
    f"{ADDRESS} evaluator": {"ipAddress": "192.0.2.11"},
    KEY: {"keyUriWithVersion": VERSIONED},
    # Declared as a list, answered as a map.
    VM: {"identity": {"type": "UserAssigned", "userAssignedIdentities": {}}},
    SET: {"identity": {"type": "SystemAssigned", "principalId": WRAPS, "tenantId": "unused"}},
}


def image(more: Mapping[str, ImageOutput] | None = None) -> Image:
    outputs = {"disk.raw": ImageOutput("11" * 32, 1 << 20), **(more or {})}
    inputs = dict.fromkeys(("recipe", "lock", "tools", "source"), "00" * 32)
    pcrs = dict.fromkeys((4, 9, 11, 12, 13), "00" * 32)
    return Image(ImageManifest(flavor="base", debug=False, inputs=inputs, outputs=outputs, pcrs=pcrs), Path("image"))


SIGNED = image({"uki.signed.efi": ImageOutput("22" * 32, 1 << 20)})


def configuration(name: str, **changes: Any) -> workspace.WorkspaceConfiguration:
    value = yaml.safe_load((CONFIGURATIONS / f"{name}.yaml").read_text())
    return workspace.parse("lab", value | changes)


def place(**changes: str) -> dict[str, str]:
    given = yaml.safe_load((CONFIGURATIONS / "azure-public-tdx.yaml").read_text())["azure"] | changes
    return {name: text for name, text in given.items() if text}


def declare(
    configured: workspace.WorkspaceConfiguration, of: Image | None = None
) -> tuple[dict[str, dict[str, Any]], Descriptor]:
    found = of or image()
    identifier = f"/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g/images/{found.digest[:12]}"
    outputs = {"images": {found.digest: {"flavor": "base", "id": identifier}}}
    answers = ANSWERS | {"pulumi:pulumi:StackReference": {"outputs": outputs}}
    resources, value = declared.declare(lambda: azure.WorkspaceComponent(configured, found).descriptor, answers)
    return resources, Descriptor.from_value(value)


@cache
def declared_as(name: str, *, signed: bool = False) -> tuple[dict[str, dict[str, Any]], Descriptor]:
    """What the configuration ``name`` declares, unchanged."""
    return declare(configuration(name), SIGNED if signed else None)


def rules(resources: Mapping[str, Any], direction: str) -> list[tuple[str, str, Any, Any, str]]:
    """(access, protocol, sources, destinations, port) of the rules in one direction, in their order."""
    found = resources["azure-native:network:NetworkSecurityGroup rules"]["inputs"]["securityRules"]
    return [
        (
            one["access"],
            one["protocol"],
            one.get("sourceAddressPrefixes", one.get("sourceAddressPrefix")),
            one.get("destinationAddressPrefixes", one.get("destinationAddressPrefix")),
            one["destinationPortRange"],
        )
        for one in sorted(found, key=lambda one: one["priority"])
        if one["direction"] == direction
    ]


def leads(resources: Mapping[str, Any]) -> dict[str, str]:
    found = resources["azure-native:network:RouteTable routes"]["inputs"]["routes"]
    return {one["addressPrefix"]: one["nextHopType"] for one in found}


@pytest.mark.parametrize(
    ("name", "signed"),
    [("azure-private-snp", False), ("azure-public-tdx", False), ("azure-public-tdx", True)],
    ids=["private SEV-SNP", "public TDX", "public TDX, signed"],
)
def test_a_workspace_is_declared_as_written_down(name: str, signed: bool):
    resources, descriptor = declared_as(name, signed=signed)
    declared.compare(f"{name}-signed" if signed else name, {"resources": resources, "descriptor": descriptor.value()})


def test_the_parties_are_told_where_the_agents_are_and_on_what_they_run():
    _, private = declared_as("azure-private-snp")
    _, public = declared_as("azure-public-tdx")
    assert [(cvm.endpoint, cvm.platform) for cvm in private.cvms] == [("10.99.0.186:6110", "azure-snp")]
    assert [(cvm.endpoint, cvm.platform) for cvm in public.cvms] == [
        ("192.0.2.10:6110", "azure-tdx"),
        ("192.0.2.11:6110", "azure-tdx"),
    ]
    assert (private.authority, private.image) == (None, image().digest)


def test_every_resource_goes_to_the_subscription_that_is_named():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    provider = "pulumi:providers:azure-native azure"
    resources = dict(resources)
    inputs = resources.pop(provider)["inputs"]
    assert (inputs["subscriptionId"], inputs["tenantId"]) == (
        "11111111-2222-3333-4444-555555555555",
        "99999999-8888-7777-6666-555555555555",
    )
    del resources["cloister:azure:Workspace lab"]
    assert {one["options"]["provider"] for one in resources.values()} == {provider}


def test_only_who_may_come_reaches_the_agents_and_nothing_else():
    resources, _ = declared_as("azure-public-tdx")
    assert rules(resources, "Inbound") == [
        ("Allow", "Tcp", ["198.51.100.0/24", "203.0.113.7/32"], ["10.99.0.186", "10.99.0.65"], "6110"),
        ("Deny", "*", "*", "*", "*"),
    ]


def test_nothing_gets_out_but_to_the_metadata_service():
    resources, _ = declared_as("azure-public-tdx")
    assert rules(resources, "Outbound") == [
        ("Allow", "Tcp", "*", "AzurePlatformIMDS", "80"),
        ("Deny", "*", "*", "AzurePlatformDNS", "*"),
        ("Deny", "*", "*", "AzurePlatformLKM", "*"),
        ("Deny", "*", "*", "*", "*"),
    ]


def test_the_subnet_is_walled_and_has_no_way_out_of_its_own():
    resources, _ = declared_as("azure-private-snp")
    subnet = resources["azure-native:network:Subnet cvms"]["inputs"]
    assert subnet["defaultOutboundAccess"] is False
    assert subnet["networkSecurityGroup"] == {"id": "NetworkSecurityGroup/rules"}
    assert subnet["routeTable"] == {"id": "RouteTable/routes"}


def test_a_private_workspace_has_no_address_and_no_route():
    resources, _ = declared_as("azure-private-snp")
    assert [name for name in resources if name.startswith(ADDRESS)] == []
    interface = resources["azure-native:network:NetworkInterface trainer"]["inputs"]["ipConfigurations"][0]
    assert "publicIPAddress" not in interface
    assert leads(resources) == {"0.0.0.0/0": "None"}


def test_routes_of_a_gateway_count_behind_a_private_endpoint_only():
    """Over one that the platform team attaches the parties come, and answers have to go; elsewhere nothing has."""
    table = "azure-native:network:RouteTable routes"
    private, _ = declared_as("azure-private-snp")
    public, _ = declared_as("azure-public-tdx")
    kept_out = [of[table]["inputs"]["disableBgpRoutePropagation"] for of in (private, public)]
    assert kept_out == [False, True]


def test_a_public_workspace_answers_those_only_who_may_come():
    changed = configuration("azure-public-tdx", ingress=["198.51.100.0/24", "10.1.0.0/16"])
    resources, _ = declare(changed)
    assert leads(resources) == {"0.0.0.0/0": "None", "198.51.100.0/24": "Internet"}


def test_only_who_lets_everybody_in_has_a_default_route():
    resources, _ = declare(configuration("azure-public-tdx", ingress=["0.0.0.0/0"], public=True))
    assert leads(resources) == {"0.0.0.0/0": "Internet"}


def test_rules_are_what_azure_takes():
    """Azure REST API, Security Rules: priorities from 100 to 4096, each once in a direction; 140 characters of text."""
    made = network.security_rules(["198.51.100.0/24"], ["10.99.0.10"])
    placed = [(one.direction, one.priority) for one in made]
    assert len(set(placed)) == len(placed)
    assert all(100 <= priority <= 4096 for _, priority in placed if isinstance(priority, int))
    assert all(len(one.description) <= 140 for one in made if isinstance(one.description, str))
    assert len({one.name for one in made}) == len(made)


def test_every_machine_is_a_confidential_one_that_nobody_logs_in_to():
    resources, _ = declared_as("azure-public-tdx")
    machines = {name: one["inputs"] for name, one in resources.items() if name.startswith(VM)}
    assert sorted(machines) == [f"{VM} evaluator", f"{VM} trainer"]
    for inputs in machines.values():
        assert inputs["securityProfile"]["securityType"] == "ConfidentialVM"
        assert inputs["securityProfile"]["uefiSettings"]["vTpmEnabled"] is True
        assert inputs["securityProfile"]["encryptionAtHost"] is False
        assert inputs["diagnosticsProfile"] == {"bootDiagnostics": {"enabled": False}}
        assert "osProfile" not in inputs
        assert "extensions" not in inputs


def test_the_guest_reads_the_boot_configuration_that_the_parties_are_told():
    resources, descriptor = declared_as("azure-private-snp")
    inputs = resources[f"{VM} trainer"]["inputs"]
    given = BootConfiguration.parse(base64.b64decode(inputs["userData"]))
    assert given == descriptor.cvms[0].boot_configuration
    # Which the guest could not, if the metadata service answered only whom Microsoft's proxy vouches for.
    assert inputs["securityProfile"]["proxyAgentSettings"] == {"enabled": False}


def test_the_identity_of_the_machines_may_do_nothing():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    identity = resources[f"{VM} trainer"]["inputs"]["identity"]
    assert identity == {"type": "UserAssigned", "userAssignedIdentities": ["UserAssignedIdentity/identity"]}
    granted = {one["inputs"]["principalId"] for name, one in resources.items() if name.startswith(ROLE)}
    assert granted == {WRAPS, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"}


def test_machines_are_replaced_in_place_one_after_the_other():
    resources, _ = declared_as("azure-public-tdx")
    trainer, evaluator = (resources[f"{VM} {name}"]["options"] for name in ("trainer", "evaluator"))
    assert f"{VM} trainer" in evaluator["depends_on"]
    assert f"{VM} evaluator" not in trainer["depends_on"]
    for options in (trainer, evaluator):
        assert options["delete_before_replace"] is True
        assert options["asked_before_delete"]
        assert set(options["replacement_trigger"]) == {"image", "bootConfiguration", "size", "tee", "zone"}
        # What Azure would change in place, the boot configuration, no guest would measure; the rest it refuses.
        assert set(options["replace_on_changes"]) == {
            "hardwareProfile",
            "securityProfile",
            "storageProfile",
            "userData",
            "zones",
        }


def test_the_address_outlives_the_machine_and_the_disk_does_not():
    resources, _ = declared_as("azure-private-snp")
    interface = resources["azure-native:network:NetworkInterface trainer"]["inputs"]
    place = interface["ipConfigurations"][0]
    assert (place["privateIPAddress"], place["privateIPAllocationMethod"]) == ("10.99.0.186", "Static")
    inputs = resources[f"{VM} trainer"]["inputs"]
    assert [one["deleteOption"] for one in inputs["networkProfile"]["networkInterfaces"]] == ["Detach"]
    assert inputs["storageProfile"]["osDisk"]["deleteOption"] == "Delete"


def test_no_interface_asks_for_what_confidential_machines_have_not():
    resources, _ = declared_as("azure-public-tdx")
    interfaces = [one["inputs"] for name, one in resources.items() if "NetworkInterface" in name]
    assert [one["enableAcceleratedNetworking"] for one in interfaces] == [False, False]


def test_the_longest_name_is_one_that_azure_takes():
    """64 characters is the most for a Linux VM: the plugin's own ending would be too much."""
    longest = "a" * 63
    cvm = {"name": longest, "tee": "sev-snp", "vcpus": 2, "memory": "8GiB"}
    resources, _ = declare(configuration("azure-private-snp", cvms=[cvm]))
    assert resources[f"{VM} {longest}"]["inputs"]["vmName"] == longest


def test_a_zone_is_the_machines_and_its_addresss():
    resources, _ = declared_as("azure-public-tdx")
    assert resources[f"{VM} trainer"]["inputs"]["zones"] == ["1"]
    assert resources[f"{ADDRESS} trainer"]["inputs"]["zones"] == ["1"]
    assert "zones" not in resources[f"{VM} evaluator"]["inputs"]
    assert "zones" not in resources[f"{ADDRESS} evaluator"]["inputs"]


def test_an_unsigned_image_boots_without_secure_boot_and_without_a_key():
    """Azure uses no customer's key without confidential encryption of the disk, and that asks for secure boot."""
    resources, _ = declared_as("azure-public-tdx")
    inputs = resources[f"{VM} trainer"]["inputs"]
    assert inputs["securityProfile"]["uefiSettings"]["secureBootEnabled"] is False
    disk = inputs["storageProfile"]["osDisk"]["managedDisk"]
    assert disk["securityProfile"] == {"securityEncryptionType": "VMGuestStateOnly"}
    assert [name for name in resources if name.startswith(("azure-native:keyvault", SET, ROLE))] == []


def test_a_signed_images_disk_and_state_have_the_workspaces_key():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    inputs = resources[f"{VM} trainer"]["inputs"]
    assert inputs["securityProfile"]["uefiSettings"]["secureBootEnabled"] is True
    disk = inputs["storageProfile"]["osDisk"]["managedDisk"]
    assert "diskEncryptionSet" not in disk
    assert disk["securityProfile"] == {
        "securityEncryptionType": "DiskWithVMGuestState",
        "diskEncryptionSet": {"id": "DiskEncryptionSet/disks"},
    }
    encryption = resources[SET]["inputs"]
    assert encryption["rotationToLatestKeyVersionEnabled"] is False
    assert encryption["encryptionType"] == "ConfidentialVmEncryptedWithCustomerKey"
    assert encryption["activeKey"] == {"keyUrl": VERSIONED, "sourceVault": {"id": "Vault/keys"}}


def test_no_disk_is_made_before_its_key_may_be_used():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    roles = {name for name in resources if name.startswith(ROLE)}
    assert len(roles) == 3
    assert roles <= set(resources[f"{VM} trainer"]["options"]["depends_on"])


def test_keys_are_kept_and_behind_walls():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    for name in (VAULT, KEY):
        assert (resources[name]["options"]["protect"], resources[name]["options"]["retain_on_delete"]) == (True, True)
    properties = resources[VAULT]["inputs"]["properties"]
    assert (properties["enablePurgeProtection"], properties["enableSoftDelete"]) == (True, True)
    assert properties["sku"] == {"family": "A", "name": "premium"}
    assert properties["enableRbacAuthorization"] is True
    assert properties["publicNetworkAccess"] == "Disabled"
    assert properties["networkAcls"] == {"bypass": "AzureServices", "defaultAction": "Deny"}
    assert resources[KEY]["inputs"]["properties"]["kty"] == "RSA-HSM"


def test_a_vaults_name_is_azures_choice_so_that_another_can_follow_it():
    """A deleted vault keeps its name until it is purged, and no one can purge it early."""
    resources, _ = declared_as("azure-public-tdx", signed=True)
    assert "vaultName" not in resources[VAULT]["inputs"]
    assert "keyName" not in resources[KEY]["inputs"]


def test_roles_have_names_that_follow_from_what_they_grant():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    granted = {name: one["inputs"] for name, one in resources.items() if name.startswith(ROLE)}
    again, _ = declare(configuration("azure-public-tdx"), SIGNED)
    assert {name: again[name]["inputs"] for name in granted} == granted
    names = [uuid.UUID(one["roleAssignmentName"]) for one in granted.values()]
    assert len(set(names)) == len(names)
    assert {one["scope"] for one in granted.values()} == {"Key/disks"}
    given = {(one["principalId"][:1], one["roleDefinitionId"].rpartition("/")[2]) for one in granted.values()}
    assert given == {("1", keys.ENCRYPTION_USER), ("a", keys.RELEASE_USER), ("a", keys.READER)}


def test_a_key_is_released_to_an_attested_machine_only():
    policy = keys.release_policy("westeurope")
    assert json.loads(base64.urlsafe_b64decode(policy + "=" * (-len(policy) % 4))) == {
        "version": "1.0.0",
        "anyOf": [
            {
                "authority": "https://sharedweu.weu.attest.azure.net/",
                "allOf": [
                    {"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"},
                    {
                        "anyOf": [
                            {"claim": "x-ms-attestation-type", "equals": "sevsnpvm"},
                            {"claim": "x-ms-attestation-type", "equals": "tdxvm"},
                        ]
                    },
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"orchestrator": ""}, "workspace.azure.orchestrator is missing"),
        ({"location": "atlantis"}, "'atlantis' has no known attestation provider"),
    ],
)
def test_what_a_signed_image_lacks_is_said_before_anything_is_declared(changes: dict[str, str], sentence: str):
    configured = configuration("azure-public-tdx", azure=place(**changes))
    with pytest.raises(InputError, match=sentence):
        declare(configured, SIGNED)
    declare(configured)


def test_the_budget_is_the_resource_groups():
    resources, _ = declared_as("azure-public-tdx")
    budget = resources["azure-native:consumption:Budget budget"]["inputs"]
    assert budget["scope"] == "ResourceGroup/lab"
    assert (budget["amount"], budget["timeGrain"]) == (500, "Monthly")
    assert budget["timePeriod"] == {"startDate": "2026-12-01T00:00:00Z"}
    told = {name: (one["threshold"], one["contactEmails"]) for name, one in budget["notifications"].items()}
    assert {one["thresholdType"] for one in budget["notifications"].values()} == {"Actual"}
    assert told == {f"alert-{percent}": (percent, ["costs@example.org"]) for percent in (50, 90, 100)}


def test_an_image_that_the_registry_has_not_is_refused():
    answers = ANSWERS | {"pulumi:pulumi:StackReference": {"outputs": {}}}
    with pytest.raises(pulumi.RunError, match="does not hold the image"):
        declared.declare(
            lambda: azure.WorkspaceComponent(configuration("azure-private-snp"), image()).descriptor, answers
        )
