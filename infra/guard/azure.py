"""The rules for a workspace in Azure.

Long because an auditor should find all rules for Azure in one place.
"""

import base64
from collections.abc import Iterator, Mapping

from cloister import endpoint
from infra.configuration.scratch import GIBIBYTE
from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard.rules import (
    FOR_CLOUDS,
    ONLY_ANSWERS,
    Rule,
    boot_configuration_of,
    cvm_of,
    is_public,
    mismatch,
    registry_reference,
    uses,
)
from infra.reach.azure import GROUP, INTERFACE, MACHINE, ROUTES, SUBNET, VIRTUAL_NETWORK
from infra.resources import types
from infra.resources.resource import UNKNOWN, Resource, listed, within

PROVIDER = "pulumi:providers:azure-native"
RESOURCES = "azure-native:resources:ResourceGroup"
ADDRESS = "azure-native:network:PublicIPAddress"
VAULT, KEY = "azure-native:keyvault:Vault", "azure-native:keyvault:Key"
DISK_KEYS = "azure-native:compute:DiskEncryptionSet"
GRANT = "azure-native:authorization:RoleAssignment"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"

# Azure built-in roles, the same in every tenant: Key Vault Crypto Service Encryption User, Key Vault Crypto Service
# Release User, Key Vault Reader. No other role is needed to encrypt disks.
_ROLES = (
    "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
    "21090545-7ca7-4776-b22c-e363652d74d2",
)
_ANY_SOURCE = ("*", "0.0.0.0/0", "Internet")
_DISK, _FIRMWARE = "DiskWithVMGuestState", "VMGuestStateOnly"


def provider_uses_configured_subscription(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The configuration decides, not the environment or the account that is logged in."""
    place = configuration.azure
    if resource.type != PROVIDER or place is None:
        return ""
    return mismatch(resource, {("subscriptionId",): place.subscription, ("tenantId",): place.tenant})


def references_stay_in_subscription(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Everything that a resource refers to is in the workspace's subscription, except the registry's image."""
    place = configuration.azure
    if place is None or resource.type not in types.TYPES["azure"]:
        return ""
    own = f"/subscriptions/{place.subscription}/"
    foreign = {text for text in _identifiers(resource.inputs) if not text.casefold().startswith(own)}
    foreign -= {resource.at("storageProfile", "imageReference", "id")} if resource.type == MACHINE else set()
    if not foreign:
        return ""
    return f"it refers to {', '.join(sorted(foreign))}, outside the subscription {place.subscription}."


def resource_is_in_configured_region(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The parties agree on a region. A location that is not known yet must be the resource group's."""
    place, location = configuration.azure, resource.at("location")
    if place is None or location in (None, place.location) or (location is UNKNOWN and uses(resource, RESOURCES)):
        return ""
    return mismatch(resource, {("location",): place.location})


def machine_is_a_configured_cvm(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """With the size for its TEE: another size is not confidential, or has another TEE."""
    if resource.type != MACHINE:
        return ""
    cvm = cvm_of(resource, configuration)
    if cvm is None:
        return f"the configuration has no CVM {resource.name!r}."
    return mismatch(resource, {("hardwareProfile", "vmSize"): cvm.size})


def machine_is_confidential(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Memory is encrypted, and there is a vTPM, without which the CVM has no evidence."""
    if resource.type != MACHINE:
        return ""
    profile = "securityProfile"
    return mismatch(
        resource,
        {(profile, "securityType"): "ConfidentialVM", (profile, "uefiSettings", "vTpmEnabled"): True},
    )


def disk_is_confidential(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """With secure boot, disk and guest state are encrypted with the workspace's key; without, Azure supports
    encryption of the guest state (firmware and vTPM) only.
    """
    if resource.type != MACHINE:
        return ""
    secure = resource.at("securityProfile", "uefiSettings", "secureBootEnabled")
    path = ("storageProfile", "osDisk", "managedDisk", "securityProfile")
    if secure is True and (resource.at(*path, "diskEncryptionSet", "id") is None or not uses(resource, DISK_KEYS)):
        return f"{'.'.join(path)}.diskEncryptionSet must be the workspace's own disk encryption set."
    return mismatch(resource, {(*path, "securityEncryptionType"): _DISK if secure is True else _FIRMWARE})


def machine_boots_published_image(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The machine boots an image of the registry."""
    if resource.type != MACHINE:
        return ""
    image = resource.at("storageProfile", "imageReference")
    if image is UNKNOWN or image is None or set(image) != {"id"}:
        return "storageProfile.imageReference must have only an id, that of a published image."
    place = configuration.azure
    if place is not None and registry_reference(place.registry) not in resource.dependencies:
        return f"its image must come from the registry {place.registry}."
    return mismatch(resource, {("storageProfile", "osDisk", "createOption"): "FromImage"})


def scratch_disk_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Besides its image's disk the machine has the configured scratch disk only, empty and deleted with the machine."""
    cvm = cvm_of(resource, configuration) if resource.type == MACHINE else None
    if cvm is None:
        return ""
    where = ("storageProfile", "dataDisks")
    disks = resource.entries(*where)
    if not cvm.scratch:
        return f"{'.'.join(where)} must not be set: the CVM has no scratch disk." if disks is UNKNOWN or disks else ""
    if disks is UNKNOWN or len(disks) != 1:
        return f"{'.'.join(where)} must be the CVM's scratch disk, and no other."
    wanted = {"createOption": "Empty", "deleteOption": "Delete", "diskSizeGB": cvm.scratch // GIBIBYTE}
    differing = sorted(name for name, value in wanted.items() if within(disks[0], name) != value)
    return f"{'.'.join(where)}.{differing[0]} must be {wanted[differing[0]]!r}." if differing else ""


def boot_configuration_is_passed(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The user data are exactly the boot configuration, because the guest measures it."""
    if resource.type != MACHINE:
        return ""
    expected = base64.b64encode(boot_configuration_of(resource, configuration)).decode()
    return "" if expected and resource.at("userData") == expected else "userData must be the CVM's boot configuration."


def machine_has_only_workspace_identity(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A system-assigned identity could get roles that no rule sees; the workspace's own identity is declared here."""
    if resource.type != MACHINE or resource.at("identity") is None:
        return ""
    identities = resource.entries("identity", "userAssignedIdentities")
    if identities is UNKNOWN or len(identities) != 1 or not uses(resource, IDENTITY):
        return "identity must be the workspace's own managed identity, and no other."
    return mismatch(resource, {("identity", "type"): "UserAssigned"})


def boot_diagnostics_are_disabled(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Boot diagnostics give anyone with read access the serial console and a screenshot."""
    if resource.type != MACHINE:
        return ""
    return mismatch(resource, {("diagnosticsProfile", "bootDiagnostics", "enabled"): False})


def interface_is_isolated(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It does not forward packets, and has a public address only with a public endpoint."""
    if resource.type != INTERFACE:
        return ""
    if resource.at("enableIPForwarding") not in (None, False):
        return "enableIPForwarding must be False, or not set."
    configurations = resource.entries("ipConfigurations")
    public = configurations is UNKNOWN or any(within(one, "publicIPAddress") is not None for one in configurations)
    return (
        "it has a public address, but workspace.endpoint is private." if public and not is_public(configuration) else ""
    )


def public_address_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """An unused public address could be attached to a machine later."""
    unexpected = resource.type == ADDRESS and not is_public(configuration)
    return "it is a public address, but workspace.endpoint is private." if unexpected else ""


def subnet_is_isolated(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It has security rules and routes, no default outbound access and no gateway."""
    if resource.type != SUBNET:
        return ""
    for name in ("networkSecurityGroup", "routeTable"):
        if resource.at(name, "id") is None:
            return f"{name} must be set."
    for name in ("natGateway", "serviceEndpoints", "delegations"):
        if resource.at(name) is not None:
            return f"{name} must not be set: it bypasses the subnet's rules and routes."
    return mismatch(resource, {("defaultOutboundAccess",): False})


def network_has_no_peering(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It has no peering. Subnets are separate resources, so that the other rules see them."""
    if resource.type != VIRTUAL_NETWORK:
        return ""
    found = [name for name in ("virtualNetworkPeerings", "subnets") if resource.at(name) is not None]
    return f"{', '.join(found)} must not be set." if found else ""


def only_agent_port_is_open(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Inbound rules allow TCP to the agent's port only: no SSH, no remote desktop."""
    port = (str(endpoint.PORT), float(endpoint.PORT), endpoint.PORT)
    for rule in _inbound_allow_rules(resource):
        single = within(rule, "destinationPortRange") in port and within(rule, "destinationPortRanges") is None
        if not single or str(within(rule, "protocol")).casefold() != "tcp":
            return f"its rule {within(rule, 'name')!r} must allow only TCP to port {endpoint.PORT}."
    return ""


def public_ingress_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """All of the internet may be allowed only with ``public: true``."""
    for rule in _inbound_allow_rules(resource):
        sources = listed(within(rule, "sourceAddressPrefixes"))
        single = within(rule, "sourceAddressPrefix")
        anyone = sources is UNKNOWN or any(one in _ANY_SOURCE or one is UNKNOWN for one in [*sources, single])
        if anyone and not configuration.public:
            return f"its rule {within(rule, 'name')!r} allows any source, but workspace.public is not true."
    return ""


def rules_and_routes_are_known(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Rules and routes are known before anything is created."""
    for kind, name in ((GROUP, "securityRules"), (ROUTES, "routes")):
        if resource.type == kind and resource.entries(name) is UNKNOWN:
            return f"{name} must be known before deployment."
    return ""


def routes_are_restricted(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """There is no default route. Answers are routed to the networks of ``ingress`` only, with a public endpoint."""
    if resource.type != ROUTES:
        return ""
    routes = resource.entries("routes")
    if routes is UNKNOWN:
        return ""
    allowed = configuration.ingress if is_public(configuration) else ()
    for route in routes:
        prefix = within(route, "addressPrefix")
        answers = within(route, "nextHopType") == "Internet" and prefix in allowed
        if within(route, "nextHopType") != "None" and not answers:
            return f"its route {within(route, 'name')!r} leads to {prefix}; {ONLY_ANSWERS}"
    default = any(within(route, "addressPrefix") == "0.0.0.0/0" for route in routes)
    return "" if default else "it must have a route for 0.0.0.0/0, to replace Azure's default route to the internet."


def keys_are_in_hardware(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Vaults cannot be purged or reached from the internet; keys are in hardware, released to attested CVMs only."""
    if resource.type == VAULT:
        return mismatch(
            resource,
            {
                ("properties", "sku", "name"): "premium",
                ("properties", "enablePurgeProtection"): True,
                ("properties", "enableRbacAuthorization"): True,
                ("properties", "publicNetworkAccess"): "Disabled",
            },
        )
    if resource.type == KEY:
        released = resource.at("properties", "releasePolicy", "data")
        if resource.at("properties", "attributes", "exportable") is not False and not isinstance(released, str):
            return "properties.releasePolicy must be set, because the key is exportable."
        return mismatch(resource, {("properties", "kty"): "RSA-HSM"})
    if resource.type == DISK_KEYS:
        if not uses(resource, KEY):
            return "activeKey must be the workspace's own key."
        return mismatch(resource, {("encryptionType",): "ConfidentialVmEncryptedWithCustomerKey"})
    return ""


def only_key_roles_are_granted(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The only roles granted are those for using the disks' key. No CVM and no person gets a role."""
    if resource.type != GRANT:
        return ""
    role = resource.at("roleDefinitionId")
    if not isinstance(role, str) or role.rsplit("/", 1)[-1] not in _ROLES:
        shown = role if isinstance(role, str) else "a role that is not known yet"
        return f"it grants {shown}; only the roles for using a disk's key are allowed."
    if not uses(resource, KEY):
        return "scope must be the workspace's own key."
    place, principal = configuration.azure, resource.at("principalId")
    if not uses(resource, DISK_KEYS) and (place is None or not place.orchestrator or principal != place.orchestrator):
        return "principalId must be the disk encryption set or workspace.azure.orchestrator."
    return mismatch(resource, {("principalType",): "ServicePrincipal"})


def _identifiers(value: object) -> Iterator[str]:
    """The identifiers of Azure resources in ``value``, at any depth."""
    if isinstance(value, str) and value.casefold().startswith("/subscriptions/"):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _identifiers(inner)


def _inbound_allow_rules(resource: Resource) -> list[object]:
    rules = resource.entries("securityRules") if resource.type == GROUP else ()
    entries = () if rules is UNKNOWN else rules
    return [one for one in entries if within(one, "direction") != "Outbound" and within(one, "access") != "Deny"]


RULES: tuple[Rule, ...] = (
    *FOR_CLOUDS,
    provider_uses_configured_subscription,
    references_stay_in_subscription,
    resource_is_in_configured_region,
    machine_is_a_configured_cvm,
    machine_is_confidential,
    disk_is_confidential,
    machine_boots_published_image,
    scratch_disk_is_configured,
    boot_configuration_is_passed,
    machine_has_only_workspace_identity,
    boot_diagnostics_are_disabled,
    interface_is_isolated,
    public_address_is_configured,
    subnet_is_isolated,
    network_has_no_peering,
    rules_and_routes_are_known,
    only_agent_port_is_open,
    public_ingress_is_configured,
    routes_are_restricted,
    keys_are_in_hardware,
    only_key_roles_are_granted,
)
