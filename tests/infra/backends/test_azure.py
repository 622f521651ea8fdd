"""Resources that the Azure backend declares."""

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
from infra.live import rehearsed
from infra.reach import graph
from tests.infra import declarations, recorder
from tests.signed_images import statement

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
    # Declared as a list, returned as a map.
    VM: {"identity": {"type": "UserAssigned", "userAssignedIdentities": {}}},
    SET: {"identity": {"type": "SystemAssigned", "principalId": WRAPS, "tenantId": "unused"}},
}


def image(*, signed: bool = False) -> Image:
    outputs = {"disk.raw": ImageOutput("11" * 32, 1 << 20)}
    inputs = dict.fromkeys(("recipe", "lock", "tools", "source"), "00" * 32)
    pcrs = dict.fromkeys((4, 9, 11, 12, 13), "00" * 32)
    manifest = ImageManifest(flavor="base", debug=False, inputs=inputs, outputs=outputs, pcrs=pcrs)
    return Image(manifest, Path("image"), statement(manifest) if signed else None)


SIGNED = image(signed=True)


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
    identifier = (
        f"/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g/images/{found.deployed[:12]}"
    )
    outputs = {"images": {found.deployed: {"flavor": "base", "id": identifier}}}
    answers = ANSWERS | {"pulumi:pulumi:StackReference": {"outputs": outputs}}
    resources, value = recorder.declare(
        lambda: azure.WorkspaceComponent(configured, found, pulumi.ResourceOptions()).descriptor, answers
    )
    return resources, Descriptor.from_value(value)


@cache
def declared_as(name: str, *, signed: bool = False) -> tuple[dict[str, dict[str, Any]], Descriptor]:
    """The declarations for the configuration ``name``, unchanged."""
    return declare(configuration(name), SIGNED if signed else None)


def rules(resources: Mapping[str, Any], direction: str) -> list[tuple[str, str, Any, Any, str]]:
    """(access, protocol, sources, destinations, port) of the rules in one direction, by priority."""
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


def next_hops(resources: Mapping[str, Any]) -> dict[str, str]:
    found = resources["azure-native:network:RouteTable routes"]["inputs"]["routes"]
    return {one["addressPrefix"]: one["nextHopType"] for one in found}


@pytest.mark.parametrize(
    ("name", "signed"),
    [("azure-private-snp", False), ("azure-public-tdx", False), ("azure-public-tdx", True)],
    ids=["private SEV-SNP", "public TDX", "public TDX, signed"],
)
def test_declarations_match_the_golden_file(name: str, signed: bool):
    resources, descriptor = declared_as(name, signed=signed)
    recorder.compare(f"{name}-signed" if signed else name, {"resources": resources, "descriptor": descriptor.value()})


@pytest.mark.parametrize(
    ("name", "signed"), [("azure-private-snp", None), ("azure-public-tdx", None), ("azure-public-tdx", SIGNED)]
)
def test_rehearsal_declares_what_the_engine_would_see(name: str, signed: Image | None):
    """The graph of a workspace is drawn from it."""
    found = rehearsed.declared(configuration(name), signed or image())
    golden = declarations.resources(f"{name}-signed" if signed else name)
    assert {one.key for one in found} - {("pulumi:pulumi:Stack", "cloister-lab")} == {one.key for one in golden}
    assert graph.build("azure", found).sentences() == graph.build("azure", golden).sentences()


def test_descriptor_has_endpoint_and_platform_of_each_cvm():
    _, private = declared_as("azure-private-snp")
    _, public = declared_as("azure-public-tdx")
    assert [(cvm.endpoint, cvm.platform) for cvm in private.cvms] == [("10.99.0.186:6110", "azure-snp")]
    assert [(cvm.endpoint, cvm.platform) for cvm in public.cvms] == [
        ("192.0.2.10:6110", "azure-tdx"),
        ("192.0.2.11:6110", "azure-tdx"),
    ]
    assert (private.authority, private.image) == (None, image().digest)


def test_every_resource_is_in_the_configured_subscription():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    provider = "pulumi:providers:azure-native azure"
    resources = dict(resources)
    inputs = resources.pop(provider)["inputs"]
    assert (inputs["subscriptionId"], inputs["tenantId"]) == (
        "11111111-2222-3333-4444-555555555555",
        "99999999-8888-7777-6666-555555555555",
    )
    del resources["cloister:index:Workspace lab"]
    assert {one["options"]["provider"] for one in resources.values()} == {provider}


def test_only_ingress_reaches_the_agents_port():
    resources, _ = declared_as("azure-public-tdx")
    assert rules(resources, "Inbound") == [
        ("Allow", "Tcp", ["198.51.100.0/24", "203.0.113.7/32"], ["10.99.0.186", "10.99.0.65"], "6110"),
        ("Deny", "*", "*", "*", "*"),
    ]


def test_only_the_metadata_service_is_reachable_from_cvms():
    resources, _ = declared_as("azure-public-tdx")
    assert rules(resources, "Outbound") == [
        ("Allow", "Tcp", "*", "AzurePlatformIMDS", "80"),
        ("Deny", "*", "*", "AzurePlatformDNS", "*"),
        ("Deny", "*", "*", "AzurePlatformLKM", "*"),
        ("Deny", "*", "*", "*", "*"),
    ]


def test_subnet_has_rules_and_routes_and_no_default_outbound_access():
    resources, _ = declared_as("azure-private-snp")
    subnet = resources["azure-native:network:Subnet cvms"]["inputs"]
    assert subnet["defaultOutboundAccess"] is False
    assert subnet["networkSecurityGroup"] == {"id": "NetworkSecurityGroup/rules"}
    assert subnet["routeTable"] == {"id": "RouteTable/routes"}


def test_private_workspace_has_no_public_address_and_no_route():
    resources, _ = declared_as("azure-private-snp")
    assert [name for name in resources if name.startswith(ADDRESS)] == []
    interface = resources["azure-native:network:NetworkInterface trainer"]["inputs"]["ipConfigurations"][0]
    assert "publicIPAddress" not in interface
    assert next_hops(resources) == {"0.0.0.0/0": "None"}


def test_gateway_routes_apply_with_a_private_endpoint_only():
    """The parties may come through a gateway of the platform team, and answers must go back through it."""
    table = "azure-native:network:RouteTable routes"
    private, _ = declared_as("azure-private-snp")
    public, _ = declared_as("azure-public-tdx")
    disabled = [of[table]["inputs"]["disableBgpRoutePropagation"] for of in (private, public)]
    assert disabled == [False, True]


def test_public_workspace_routes_answers_to_ingress_only():
    changed = configuration("azure-public-tdx", ingress=["198.51.100.0/24", "10.1.0.0/16"])
    resources, _ = declare(changed)
    assert next_hops(resources) == {"0.0.0.0/0": "None", "198.51.100.0/24": "Internet"}


def test_only_public_ingress_gets_a_default_route():
    resources, _ = declare(configuration("azure-public-tdx", ingress=["0.0.0.0/0"], public=True))
    assert next_hops(resources) == {"0.0.0.0/0": "Internet"}


def test_rules_meet_azures_limits():
    """Azure REST API, Security Rules: priorities from 100 to 4096, unique per direction; at most 140 characters."""
    made = network.security_rules(["198.51.100.0/24"], ["10.99.0.10"])
    placed = [(one.direction, one.priority) for one in made]
    assert len(set(placed)) == len(placed)
    assert all(100 <= priority <= 4096 for _, priority in placed if isinstance(priority, int))
    assert all(len(one.description) <= 140 for one in made if isinstance(one.description, str))
    assert len({one.name for one in made}) == len(made)


def test_every_machine_is_confidential_and_has_no_login():
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


def test_guest_reads_the_boot_configuration_of_the_descriptor():
    resources, descriptor = declared_as("azure-private-snp")
    inputs = resources[f"{VM} trainer"]["inputs"]
    given = BootConfiguration.parse(base64.b64decode(inputs["userData"]))
    assert given == descriptor.cvms[0].boot_configuration
    # With the Metadata Security Protocol, only callers that Microsoft's proxy vouches for could read it.
    assert inputs["securityProfile"]["proxyAgentSettings"] == {"enabled": False}


def test_machine_identity_has_no_role():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    identity = resources[f"{VM} trainer"]["inputs"]["identity"]
    assert identity == {"type": "UserAssigned", "userAssignedIdentities": ["UserAssignedIdentity/identity"]}
    granted = {one["inputs"]["principalId"] for name, one in resources.items() if name.startswith(ROLE)}
    assert granted == {WRAPS, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"}


def test_machines_are_replaced_one_after_the_other():
    resources, _ = declared_as("azure-public-tdx")
    trainer, evaluator = (resources[f"{VM} {name}"]["options"] for name in ("trainer", "evaluator"))
    assert f"{VM} trainer" in evaluator["depends_on"]
    assert f"{VM} evaluator" not in trainer["depends_on"]
    for options in (trainer, evaluator):
        assert options["delete_before_replace"] is True
        assert options["asked_before_delete"]
        assert set(options["replacement_trigger"]) == {"image", "bootConfiguration", "size", "tee", "zone"}
        # Azure would change the boot configuration in place, unmeasured by the guest; the rest it refuses to change.
        assert set(options["replace_on_changes"]) == {
            "hardwareProfile",
            "securityProfile",
            "storageProfile",
            "userData",
            "zones",
        }


def test_address_outlives_the_machine_and_disk_does_not():
    resources, _ = declared_as("azure-private-snp")
    interface = resources["azure-native:network:NetworkInterface trainer"]["inputs"]
    place = interface["ipConfigurations"][0]
    assert (place["privateIPAddress"], place["privateIPAllocationMethod"]) == ("10.99.0.186", "Static")
    inputs = resources[f"{VM} trainer"]["inputs"]
    assert [one["deleteOption"] for one in inputs["networkProfile"]["networkInterfaces"]] == ["Detach"]
    assert inputs["storageProfile"]["osDisk"]["deleteOption"] == "Delete"


def test_no_interface_has_accelerated_networking():
    resources, _ = declared_as("azure-public-tdx")
    interfaces = [one["inputs"] for name, one in resources.items() if "NetworkInterface" in name]
    assert [one["enableAcceleratedNetworking"] for one in interfaces] == [False, False]


def test_longest_name_meets_azures_limit():
    """A Linux VM's name has at most 64 characters, too few for the plugin's suffix."""
    longest = "a" * 63
    cvm = {"name": longest, "tee": "sev-snp", "vcpus": 2, "memory": "8GiB"}
    resources, _ = declare(configuration("azure-private-snp", cvms=[cvm]))
    assert resources[f"{VM} {longest}"]["inputs"]["vmName"] == longest


def test_machine_and_address_have_the_configured_zone():
    resources, _ = declared_as("azure-public-tdx")
    assert resources[f"{VM} trainer"]["inputs"]["zones"] == ["1"]
    assert resources[f"{ADDRESS} trainer"]["inputs"]["zones"] == ["1"]
    assert "zones" not in resources[f"{VM} evaluator"]["inputs"]
    assert "zones" not in resources[f"{ADDRESS} evaluator"]["inputs"]


def test_unsigned_image_boots_without_secure_boot_and_key():
    """In Azure a customer key requires confidential disk encryption, which requires secure boot."""
    resources, _ = declared_as("azure-public-tdx")
    inputs = resources[f"{VM} trainer"]["inputs"]
    assert inputs["securityProfile"]["uefiSettings"]["secureBootEnabled"] is False
    disk = inputs["storageProfile"]["osDisk"]["managedDisk"]
    assert disk["securityProfile"] == {"securityEncryptionType": "VMGuestStateOnly"}
    assert [name for name in resources if name.startswith(("azure-native:keyvault", SET, ROLE))] == []


def test_workspaces_key_encrypts_disk_and_state_of_a_signed_image():
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


def test_machine_depends_on_the_roles_on_its_key():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    roles = {name for name in resources if name.startswith(ROLE)}
    assert len(roles) == 3
    assert roles <= set(resources[f"{VM} trainer"]["options"]["depends_on"])


def test_keys_are_protected_and_not_reachable():
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


def test_vault_and_key_have_generated_names():
    """A deleted vault keeps its name until it is purged, and no one can purge it early."""
    resources, _ = declared_as("azure-public-tdx", signed=True)
    assert "vaultName" not in resources[VAULT]["inputs"]
    assert "keyName" not in resources[KEY]["inputs"]


def test_role_assignment_names_derive_from_what_they_grant():
    resources, _ = declared_as("azure-public-tdx", signed=True)
    granted = {name: one["inputs"] for name, one in resources.items() if name.startswith(ROLE)}
    again, _ = declare(configuration("azure-public-tdx"), SIGNED)
    assert {name: again[name]["inputs"] for name in granted} == granted
    names = [uuid.UUID(one["roleAssignmentName"]) for one in granted.values()]
    assert len(set(names)) == len(names)
    assert {one["scope"] for one in granted.values()} == {"Key/disks"}
    given = {(one["principalId"][:1], one["roleDefinitionId"].rpartition("/")[2]) for one in granted.values()}
    assert given == {("1", keys.ENCRYPTION_USER), ("a", keys.RELEASE_USER), ("a", keys.READER)}


def test_key_is_released_only_to_an_attested_machine():
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
def test_missing_setting_for_a_signed_image_is_reported_before_declaring(changes: dict[str, str], sentence: str):
    configured = configuration("azure-public-tdx", azure=place(**changes))
    with pytest.raises(InputError, match=sentence):
        declare(configured, SIGNED)
    declare(configured)


def test_budget_covers_the_resource_group():
    resources, _ = declared_as("azure-public-tdx")
    budget = resources["azure-native:consumption:Budget budget"]["inputs"]
    assert budget["scope"] == "ResourceGroup/lab"
    assert (budget["amount"], budget["timeGrain"]) == (500, "Monthly")
    assert budget["timePeriod"] == {"startDate": "2026-12-01T00:00:00Z"}
    told = {name: (one["threshold"], one["contactEmails"]) for name, one in budget["notifications"].items()}
    assert {one["thresholdType"] for one in budget["notifications"].values()} == {"Actual"}
    assert told == {f"alert-{percent}": (percent, ["costs@example.org"]) for percent in (50, 90, 100)}


def test_image_missing_in_the_registry_is_refused():
    answers = ANSWERS | {"pulumi:pulumi:StackReference": {"outputs": {}}}
    with pytest.raises(pulumi.RunError, match="does not hold the image"):
        recorder.declare(
            lambda: (
                azure.WorkspaceComponent(
                    configuration("azure-private-snp"), image(), pulumi.ResourceOptions()
                ).descriptor
            ),
            answers,
        )
