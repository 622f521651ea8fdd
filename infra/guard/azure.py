"""What may never be in a workspace on Azure."""

import base64
from collections.abc import Iterator, Mapping

from cloister import endpoint
from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard.rules import FOR_CLOUDS, Rule, boot_of, cvm_of, held_by, is_public, uses, wrong
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
# Release User, Key Vault Reader. A disk's key needs no other.
_ROLES = (
    "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    "08bbd89e-9f13-488c-ac41-acfcb10c90ab",
    "21090545-7ca7-4776-b22c-e363652d74d2",
)
_EVERYBODY = ("*", "0.0.0.0/0", "Internet")
_DISK, _FIRMWARE = "DiskWithVMGuestState", "VMGuestStateOnly"


def the_subscription_is_the_configured_one(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Whatever the environment says, and wherever somebody is logged in."""
    place = configuration.azure
    if resource.type != PROVIDER or place is None:
        return ""
    return wrong(resource, {("subscriptionId",): place.subscription, ("tenantId",): place.tenant})


def what_it_names_is_in_the_subscription(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Whatever it is joined to is the workspace's, except the image: that is where its registry is."""
    place = configuration.azure
    if place is None or resource.type not in types.TYPES["azure"]:
        return ""
    own = f"/subscriptions/{place.subscription}/"
    named = {text for text in _identifiers(resource.inputs) if not text.casefold().startswith(own)}
    named -= {resource.at("storageProfile", "imageReference", "id")} if resource.type == MACHINE else set()
    return f"it names {', '.join(sorted(named))}, in another subscription." if named else ""


def it_stays_in_the_region(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Where data may be is the parties' agreement. Where the location is not known yet, it is the group's own."""
    place, location = configuration.azure, resource.at("location")
    if place is None or location in (None, place.location) or (location is UNKNOWN and uses(resource, RESOURCES)):
        return ""
    return f"it is in {location if isinstance(location, str) else 'another place'}, not in {place.location}."


def a_machine_is_a_configured_cvm(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Of the size that was chosen for its TEE: another one is not confidential, or another TEE."""
    if resource.type != MACHINE:
        return ""
    cvm = cvm_of(resource, configuration)
    if cvm is None:
        return "the configuration has no CVM of that name."
    return wrong(resource, {("hardwareProfile", "vmSize"): cvm.size})


def a_machine_is_confidential(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Encrypted memory, and a vTPM without which it could prove nothing."""
    if resource.type != MACHINE:
        return ""
    profile = "securityProfile"
    return wrong(
        resource,
        {(profile, "securityType"): "ConfidentialVM", (profile, "uefiSettings", "vTpmEnabled"): True},
    )


def its_disk_is_confidential(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The disk by the workspace's own key where secure boot is on, without which Azure refuses that; the state of
    firmware and vTPM always.
    """
    if resource.type != MACHINE:
        return ""
    secure = resource.at("securityProfile", "uefiSettings", "secureBootEnabled")
    path = ("storageProfile", "osDisk", "managedDisk", "securityProfile")
    if secure is True and (resource.at(*path, "diskEncryptionSet", "id") is None or not uses(resource, DISK_KEYS)):
        return f"its disk is not encrypted by the workspace's key: {'.'.join(path)}.diskEncryptionSet is not its own."
    return wrong(resource, {(*path, "securityEncryptionType"): _DISK if secure is True else _FIRMWARE})


def a_machine_boots_a_published_image(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """From an image of the registry and from nothing else; no disk beside it, no program put into it."""
    if resource.type != MACHINE:
        return ""
    image = resource.at("storageProfile", "imageReference")
    if image is UNKNOWN or image is None or set(image) != {"id"}:
        return "its image is not named by the identifier of a published one."
    place = configuration.azure
    if place is not None and held_by(place.registry) not in resource.dependencies:
        return f"its image does not come from the registry {place.registry}."
    if resource.at("storageProfile", "dataDisks") is not None:
        return "it has disks beside the image's."
    return wrong(resource, {("storageProfile", "osDisk", "createOption"): "FromImage"})


def a_machine_is_told_its_owners(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Its user data is the boot configuration, to the byte: the guest measures it."""
    if resource.type != MACHINE:
        return ""
    wanted = base64.b64encode(boot_of(resource, configuration)).decode()
    return "" if wanted and resource.at("userData") == wanted else "its user data is not its boot configuration."


def a_machine_is_nobody(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """An identity that Azure makes with it could be given roles unseen; one of the workspace's own is declared here."""
    if resource.type != MACHINE or resource.at("identity") is None:
        return ""
    identities = resource.entries("identity", "userAssignedIdentities")
    if identities is UNKNOWN or len(identities) != 1 or not uses(resource, IDENTITY):
        return "its identity is not the workspace's own one, which has no role."
    return wrong(resource, {("identity", "type"): "UserAssigned"})


def a_machine_has_no_console(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Boot diagnostics are a serial console and a picture of the screen, for whoever may read them."""
    if resource.type != MACHINE:
        return ""
    return wrong(resource, {("diagnosticsProfile", "bootDiagnostics", "enabled"): False})


def an_interface_is_a_dead_end(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It forwards nothing, and has a public address only where the configuration says so."""
    if resource.type != INTERFACE:
        return ""
    if resource.at("enableIPForwarding") not in (None, False):
        return "it forwards packets of others."
    places = resource.entries("ipConfigurations")
    public = places is UNKNOWN or any(within(place, "publicIPAddress") is not None for place in places)
    return (
        "it has a public address, and workspace.endpoint is private." if public and not is_public(configuration) else ""
    )


def an_address_is_asked_for(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A public address that nobody asked for is one that somebody attaches."""
    unasked = resource.type == ADDRESS and not is_public(configuration)
    return "it is public, and workspace.endpoint is private." if unasked else ""


def a_subnet_has_walls(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Rules, routes, and none of the outbound access that Azure gives by default; no gateway behind them."""
    if resource.type != SUBNET:
        return ""
    for name in ("networkSecurityGroup", "routeTable"):
        if resource.at(name, "id") is None:
            return f"it has no {name}."
    for name in ("natGateway", "serviceEndpoints", "delegations"):
        if resource.at(name) is not None:
            return f"it has {name}, a way past its walls."
    return wrong(resource, {("defaultOutboundAccess",): False})


def a_network_stands_alone(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No peering; subnets are resources of their own, for the other rules to see."""
    if resource.type != VIRTUAL_NETWORK:
        return ""
    found = [name for name in ("virtualNetworkPeerings", "subnets") if resource.at(name) is not None]
    return f"it has {', '.join(found)} of its own." if found else ""


def only_the_agents_port_is_let_in(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No SSH, no remote desktop, nothing but the agents' port over TCP."""
    port = (str(endpoint.PORT), float(endpoint.PORT), endpoint.PORT)
    for rule in _letting_in(resource):
        single = within(rule, "destinationPortRange") in port and within(rule, "destinationPortRanges") is None
        if not single or str(within(rule, "protocol")).casefold() != "tcp":
            return f"its rule {within(rule, 'name')!r} lets in more than TCP to port {endpoint.PORT}."
    return ""


def everybody_is_let_in_only_when_said(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The whole internet comes in by public: true alone."""
    for rule in _letting_in(resource):
        sources = listed(within(rule, "sourceAddressPrefixes"))
        single = within(rule, "sourceAddressPrefix")
        everybody = sources is UNKNOWN or any(one in _EVERYBODY or one is UNKNOWN for one in [*sources, single])
        if everybody and not configuration.public:
            return f"its rule {within(rule, 'name')!r} lets in everybody, and workspace.public is not true."
    return ""


def rules_can_be_read(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Rules and routes are known before anything is made."""
    for kind, name in ((GROUP, "securityRules"), (ROUTES, "routes")):
        if resource.type == kind and resource.entries(name) is UNKNOWN:
            return f"its {name} are not known."
    return ""


def routes_lead_nowhere(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No default route: only to the networks that may come leads one, for the answers."""
    if resource.type != ROUTES:
        return ""
    routes = resource.entries("routes")
    if routes is UNKNOWN:
        return ""
    wanted = configuration.ingress if is_public(configuration) else ()
    for route in routes:
        answers = within(route, "nextHopType") == "Internet" and within(route, "addressPrefix") in wanted
        if within(route, "nextHopType") != "None" and not answers:
            return f"its route {within(route, 'name')!r} leads to {within(route, 'addressPrefix')}, where nobody is."
    default = any(within(route, "addressPrefix") == "0.0.0.0/0" for route in routes)
    return "" if default else "it leaves Azure's default route to the internet."


def keys_stay_in_hardware(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A vault that nobody purges or reaches from the internet; keys of its hardware, released to attested CVMs only."""
    if resource.type == VAULT:
        return wrong(
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
            return "it can be taken out of the vault by whoever asks: it has no release policy."
        return wrong(resource, {("properties", "kty"): "RSA-HSM"})
    if resource.type == DISK_KEYS:
        if not uses(resource, KEY):
            return "its key is not the workspace's own."
        return wrong(resource, {("encryptionType",): "ConfidentialVmEncryptedWithCustomerKey"})
    return ""


def only_keys_are_granted(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Who may use the disks' key is all that is granted; no CVM and no person gets a role."""
    if resource.type != GRANT:
        return ""
    role = resource.at("roleDefinitionId")
    if not isinstance(role, str) or role.rsplit("/", 1)[-1] not in _ROLES:
        return f"it grants {role if isinstance(role, str) else 'an unknown role'}, not the use of a disk's key."
    if not uses(resource, KEY):
        return "it grants more than the use of the workspace's own key."
    place, principal = configuration.azure, resource.at("principalId")
    if not uses(resource, DISK_KEYS) and (place is None or not place.orchestrator or principal != place.orchestrator):
        return "it grants the use of the disks' key to somebody who encrypts no disk."
    return wrong(resource, {("principalType",): "ServicePrincipal"})


def _identifiers(value: object) -> Iterator[str]:
    """Every identifier of a resource of Azure in ``value``, at any depth."""
    if isinstance(value, str) and value.casefold().startswith("/subscriptions/"):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _identifiers(inner)


def _letting_in(resource: Resource) -> list[object]:
    rules = resource.entries("securityRules") if resource.type == GROUP else ()
    entries = () if rules is UNKNOWN else rules
    return [one for one in entries if within(one, "direction") != "Outbound" and within(one, "access") != "Deny"]


RULES: tuple[Rule, ...] = (
    *FOR_CLOUDS,
    the_subscription_is_the_configured_one,
    what_it_names_is_in_the_subscription,
    it_stays_in_the_region,
    a_machine_is_a_configured_cvm,
    a_machine_is_confidential,
    its_disk_is_confidential,
    a_machine_boots_a_published_image,
    a_machine_is_told_its_owners,
    a_machine_is_nobody,
    a_machine_has_no_console,
    an_interface_is_a_dead_end,
    an_address_is_asked_for,
    a_subnet_has_walls,
    a_network_stands_alone,
    rules_can_be_read,
    only_the_agents_port_is_let_in,
    everybody_is_let_in_only_when_said,
    routes_lead_nowhere,
    keys_stay_in_hardware,
    only_keys_are_granted,
)
