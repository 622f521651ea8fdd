"""What Azure is documented to refuse because of other resources, or because they are missing."""

import re
from collections.abc import Iterator

from tests.infra.clouds.refusals import values
from tests.infra.clouds.relation import PendingResource, among, relation, usable
from tests.infra.clouds.world import CloudResource

VM = "azure-native:compute:VirtualMachine"
NIC = "azure-native:network:NetworkInterface"
ENCRYPTION_SET = "azure-native:compute:DiskEncryptionSet"
VAULT = "azure-native:keyvault:Vault"
KEY = "azure-native:keyvault:Key"
ROLE_ASSIGNMENT = "azure-native:authorization:RoleAssignment"

DELETED = "deleted:"
"""The id prefix of a vault that is deleted and not purged."""

IN_USE = (
    NIC,
    ENCRYPTION_SET,
    "azure-native:network:Subnet",
    "azure-native:network:PublicIPAddress",
    "azure-native:network:NetworkSecurityGroup",
    "azure-native:network:RouteTable",
)
"""Types that cannot be deleted while another resource refers to them."""

_CONFIDENTIAL_SIZE = re.compile(r"Standard_[DE]C\d+i?(as|ads|es|eds)_(cc_)?v[56]")
_CONFIDENTIAL_IMAGES = ("ConfidentialVmSupported", "ConfidentialVM", "TrustedLaunchAndConfidentialVmSupported")
# Azure, Built-in roles: Key Vault Crypto Service Encryption User.
_ENCRYPTS = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
_DISK_SECURITY = "storageProfile.osDisk.managedDisk.securityProfile"


@relation(
    VM,
    sentence="The network interface is in use by another VM.",
    source="Azure, NicInUse: a network interface belongs to one VM",
)
def interface_of_another(pending: PendingResource) -> bool:
    taken = [
        one
        for resource in pending.others(VM).values()
        for one in values(resource.inputs, "networkProfile.networkInterfaces[].id")
    ]
    return any(among(one, taken) for one in pending.at("networkProfile.networkInterfaces[].id"))


@relation(
    VM,
    sentence="The VM size does not support accelerated networking.",
    source="Azure, Confidential VM frequently asked questions: accelerated networking is not supported",
)
def accelerated_interface(pending: PendingResource) -> bool:
    if not any(_CONFIDENTIAL_SIZE.fullmatch(str(size)) for size in pending.at("hardwareProfile.vmSize")):
        return False
    interfaces = [pending.world.find(one) for one in pending.at("networkProfile.networkInterfaces[].id")]
    return any(one is not None and one.inputs.get("enableAcceleratedNetworking") is True for one in interfaces)


@relation(
    VM,
    sentence="The encryption set of a confidential VM is of type ConfidentialVmEncryptedWithCustomerKey.",
    source="pulumi-azure-native, DiskEncryptionSetType: for 'Confidential VM supported disk and VM guest state'",
)
def encryption_set_for_others(pending: PendingResource) -> bool:
    sets = [pending.world.find(one) for one in pending.at(f"{_DISK_SECURITY}.diskEncryptionSet.id")]
    return any(
        one is not None and one.inputs.get("encryptionType") != "ConfidentialVmEncryptedWithCustomerKey" for one in sets
    )


@relation(
    VM,
    sentence="The disk encryption set may not use its key.",
    source="Azure, Server-side encryption of managed disks: grant the disk encryption set access to the key vault",
)
def encryption_set_without_role(pending: PendingResource) -> bool:
    for one in pending.at(f"{_DISK_SECURITY}.diskEncryptionSet.id"):
        found = pending.world.find(one)
        if found is None:
            continue
        principal = found.outputs.get("identity", {}).get("principalId")
        vault = str(found.inputs.get("activeKey", {}).get("sourceVault", {}).get("id", "")).lower()
        granted = [
            str(resource.inputs.get("scope", "")).lower()
            for resource in pending.world.of(ROLE_ASSIGNMENT).values()
            if resource.inputs.get("principalId") == principal
            and str(resource.inputs.get("roleDefinitionId", "")).endswith(_ENCRYPTS)
        ]
        if not any(vault.startswith(scope) or scope.startswith(f"{vault}/keys/") for scope in granted):
            return True
    return False


@relation(
    VM,
    sentence="Parameter 'osProfile' is not allowed with a specialized image, and is required with a generalized one.",
    source="Azure, Generalized and specialized images: specialized VMs have no osProfile",
)
def profile_of_the_image(pending: PendingResource) -> bool:
    given = bool(pending.at("osProfile"))
    states = [definition.inputs.get("osState") for definition in _definitions(pending)]
    return any(given is (state == "Specialized") for state in states)


@relation(
    VM,
    sentence="The image does not support the security type ConfidentialVM.",
    source="Azure, Create a custom image for confidential VMs: SecurityType=ConfidentialVmSupported, generation 2",
)
def image_for_others(pending: PendingResource) -> bool:
    if "ConfidentialVM" not in pending.at("securityProfile.securityType"):
        return False
    for definition in _definitions(pending):
        features = {one.get("name"): one.get("value") for one in definition.inputs.get("features", [])}
        kinds = [kind.lower() for kind in _CONFIDENTIAL_IMAGES]
        if str(features.get("SecurityType")).lower() not in kinds or definition.inputs.get("hyperVGeneration") != "V2":
            return True
    return False


@relation(
    NIC,
    sentence="The private address is outside of the subnet, reserved or taken.",
    source="Azure, Virtual network frequently asked questions: the first four addresses and the last one are reserved",
)
def azure_address(pending: PendingResource) -> bool:
    for configuration in pending.at("ipConfigurations[]"):
        address, subnet = configuration.get("privateIPAddress"), configuration.get("subnet", {}).get("id", "")
        found = pending.world.find(subnet)
        if address is None or found is None:
            continue
        ranges = [found.inputs.get("addressPrefix"), *found.inputs.get("addressPrefixes", [])]
        taken = [
            one.get("privateIPAddress")
            for resource in pending.others(NIC).values()
            for one in values(resource.inputs, "ipConfigurations[]")
            if among(one.get("subnet", {}).get("id"), [subnet])
        ]
        if address in taken or not usable(address, [one for one in ranges if one], first=4, last=1):
            return True
    return False


@relation(
    VAULT,
    sentence="A deleted vault, protected from purging, has that name.",
    source="Azure Key Vault, Soft-delete overview: the name of a deleted vault cannot be used until it is purged",
)
def name_of_a_deleted_vault(pending: PendingResource) -> bool:
    return pending.old is None and pending.world.find(f"{DELETED}{pending.inputs.get('vaultName')}") is not None


@relation(
    KEY,
    sentence="A key in an HSM needs a vault of the SKU premium.",
    source="Azure Key Vault, About keys: HSM-protected keys are for premium vaults",
)
def hsm_of_a_standard_vault(pending: PendingResource) -> bool:
    vault = pending.world.find(pending.identity.rpartition("/keys/")[0])
    sku = None if vault is None else vault.inputs.get("properties", {}).get("sku", {}).get("name")
    return any(str(kind).endswith("-HSM") for kind in pending.at("properties.kty")) and sku == "standard"


@relation(
    ROLE_ASSIGNMENT,
    sentence="The role assignment already exists at another scope.",
    source="Azure role-based access control, Add role assignments with the REST API: the GUID is unique in the tenant",
)
def role_assignment_elsewhere(pending: PendingResource) -> bool:
    names = [one.rpartition("/")[2].lower() for one in pending.others(ROLE_ASSIGNMENT)]
    return pending.identity.rpartition("/")[2].lower() in names


@relation(
    ROLE_ASSIGNMENT,
    sentence="Tenant, principal and role of a role assignment cannot be changed.",
    source="Azure role-based access control: RoleAssignmentUpdateNotPermitted",
)
def changed_role_assignment(pending: PendingResource) -> bool:
    old = pending.old
    return old is not None and any(
        old.get(one) != pending.inputs.get(one) for one in ("principalId", "roleDefinitionId")
    )


@relation(
    VM,
    sentence="The gallery image version is not available in the region of the VM.",
    source="Azure, Store and share images in an Azure Compute Gallery: replicas in the target regions of a version",
)
def image_elsewhere(pending: PendingResource) -> bool:
    for one in pending.at("storageProfile.imageReference.id"):
        found = pending.world.find(str(one))
        regions = [] if found is None else list(values(found.inputs, "publishingProfile.targetRegions[].name"))
        if regions and pending.inputs.get("location") not in regions:
            return True
    return False


def _definitions(pending: PendingResource) -> Iterator[CloudResource]:
    """The gallery's definition of the VM's image, if it exists."""
    for one in pending.at("storageProfile.imageReference.id"):
        found = pending.world.find(str(one).rpartition("/versions/")[0])
        if found is not None:
            yield found
