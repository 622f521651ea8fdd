"""What may never be in a workspace on Google Cloud."""

import re

from cloister import endpoint
from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard.rules import FOR_CLOUDS, Rule, boot_of, cvm_of, held_by, is_public, uses, wrong
from infra.reach.gcp import FIREWALL, MACHINE, NETWORK, ROUTE, SUBNET
from infra.resources.resource import UNKNOWN, Resource, listed, within

PROVIDER = "pulumi:providers:gcp"
ADDRESS = "gcp:compute/address:Address"
KEY = "gcp:kms/cryptoKey:CryptoKey"
GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
ACCOUNT = "gcp:serviceaccount/account:Account"

BOOT = "cloister-boot-configuration"
# Compute Engine, "Predefined metadata keys": these only close something, and Cloister's own say what runs.
_CLOSED = {
    "block-project-ssh-keys": "TRUE",
    "enable-guest-attributes": "FALSE",
    "serial-port-enable": "FALSE",
    "serial-port-logging-enable": "FALSE",
}
_TOLD = (BOOT, "cloister-boot-configuration-digest", "cloister-endpoint", "cloister-image")
_TECHNOLOGIES = {"sev-snp": "SEV_SNP", "tdx": "TDX"}
_SCOPES = ("https://www.googleapis.com/auth/userinfo.email",)
_KEY_USER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
# The Compute Engine service agent (IAM, "Service agents").
_SERVICE_AGENT = re.compile(r"serviceAccount:service-[0-9]+@compute-system\.iam\.gserviceaccount\.com\Z")
_EVERYBODY = ("0.0.0.0/0", "::/0")
_INTERNET = "default-internet-gateway"


def the_project_is_the_configured_one(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Whatever the environment says, and wherever somebody is logged in."""
    place = configuration.gcp
    if place is None:
        return ""
    if resource.type == PROVIDER:
        return wrong(resource, {("project",): place.project})
    project = resource.at("project")
    return "" if project in (None, place.project) else f"it is in the project {project!r}, not in {place.project!r}."


def it_stays_in_the_region(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Where data may be is the parties' agreement."""
    place = configuration.gcp
    if place is None:
        return ""
    for name in ("region", "location"):
        found = resource.at(name)
        if found not in (None, place.region):
            return f"its {name} is {found!r}, and the workspace is in {place.region}."
    return ""


def a_machine_is_a_configured_cvm(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """In its zone, and of the type that was chosen for its TEE."""
    if resource.type != MACHINE or configuration.gcp is None:
        return ""
    cvm = cvm_of(resource, configuration)
    if cvm is None:
        return "the configuration has no CVM of that name."
    return wrong(resource, {("machineType",): cvm.size, ("zone",): f"{configuration.gcp.region}-{cvm.zone}"})


def a_machine_is_confidential(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """With the TEE that was asked for, and a vTPM without which it could prove nothing."""
    cvm = cvm_of(resource, configuration) if resource.type == MACHINE else None
    if cvm is None:
        return ""
    technology = _TECHNOLOGIES[cvm.tee]
    wanted: dict[tuple[str, ...], object] = {
        ("confidentialInstanceConfig", "confidentialInstanceType"): technology,
        ("shieldedInstanceConfig", "enableVtpm"): True,
    }
    # pulumi-gcp, compute.Instance, confidentialInstanceType: SEV_SNP is refused elsewhere.
    if technology == "SEV_SNP":
        wanted["minCpuPlatform",] = "AMD Milan"
    return wrong(resource, wanted)


def a_machine_is_not_moved(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Live migration copies memory to another host; with SEV-SNP and TDX there is none, and MIGRATE is an error."""
    if resource.type != MACHINE:
        return ""
    return wrong(
        resource, {("scheduling", "onHostMaintenance"): "TERMINATE", ("scheduling", "automaticRestart"): False}
    )


def its_disk_has_the_workspaces_key(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """One disk, from a published image, encrypted by the workspace's own key."""
    if resource.type != MACHINE:
        return ""
    for name in ("attachedDisks", "scratchDisks", "guestAccelerators"):
        if resource.at(name) not in (None, []):
            return f"it has {name}."
    if resource.at("bootDisk", "initializeParams", "image") is None:
        return "its boot disk is not made from an image."
    place = configuration.gcp
    if place is not None and held_by(place.registry) not in resource.dependencies:
        return f"its image does not come from the registry {place.registry}."
    encrypted = resource.at("bootDisk", "kmsKeySelfLink") is not None and uses(resource, KEY)
    return "" if encrypted else "its disk has no key of the workspace's."


def a_machine_is_told_its_owners(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The boot configuration, to the byte: the guest measures it."""
    if resource.type != MACHINE:
        return ""
    wanted = boot_of(resource, configuration).decode()
    told = wanted and resource.at("metadata", BOOT) == wanted
    return "" if told else f"its metadata's {BOOT} is not its boot configuration."


def metadata_opens_nothing(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Keys, scripts, consoles and guest attributes all come by metadata; here only what closes them does."""
    if resource.type != MACHINE:
        return ""
    metadata = resource.at("metadata")
    if metadata is UNKNOWN or resource.at("metadataStartupScript") is not None:
        return "what its metadata says to the guest cannot be judged."
    unknown = sorted(set(metadata or {}) - {*_CLOSED, *_TOLD})
    if unknown:
        return f"its metadata has {', '.join(unknown)}."
    return wrong(resource, {("metadata", name): value for name, value in _CLOSED.items()})


def an_interface_is_a_dead_end(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """One interface that forwards nothing, with an external address only where the configuration says so."""
    if resource.type != MACHINE:
        return ""
    if resource.at("canIpForward") not in (None, False):
        return "it forwards packets of others."
    interfaces = resource.entries("networkInterfaces")
    if interfaces is UNKNOWN or len(interfaces) != 1:
        return "it has not one network interface."
    if any(within(interfaces[0], name) not in (None, []) for name in ("ipv6AccessConfigs", "aliasIpRanges")):
        return "it has addresses beside its own."
    if within(interfaces[0], "stackType") not in (None, "IPV4_ONLY"):
        return "it has an address of IPv6, which no rule here closes."
    external = within(interfaces[0], "accessConfigs") not in (None, [])
    return (
        "it has an external address, and workspace.endpoint is private."
        if external and not is_public(configuration)
        else ""
    )


def a_machine_may_do_nothing(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Its service account has no role, and its tokens have no scope that would be worth one."""
    account = resource.at("serviceAccount") if resource.type == MACHINE else None
    if account is None:
        return ""
    scopes = listed(within(account, "scopes"))
    if scopes is UNKNOWN or not all(scope in _SCOPES for scope in scopes):
        return "its tokens are good for more than its own name."
    return "" if uses(resource, ACCOUNT) else "its account is not the workspace's own one, which has no role."


def an_address_is_asked_for(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """An external address that nobody asked for is one that somebody attaches."""
    unasked = resource.type == ADDRESS and not is_public(configuration)
    return "it is external, and workspace.endpoint is private." if unasked else ""


def a_network_is_bare(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No subnets and no routes that Google adds, no way to Google's own services."""
    if resource.type == NETWORK:
        return wrong(resource, {("autoCreateSubnetworks",): False, ("deleteDefaultRoutesOnCreate",): True})
    if resource.type == SUBNET:
        return wrong(resource, {("privateIpGoogleAccess",): False, ("stackType",): "IPV4_ONLY"})
    return ""


def routes_lead_to_who_may_come(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A route is for the answers to the networks that may come over the internet, and for nothing else."""
    if resource.type != ROUTE:
        return ""
    if not is_public(configuration) or resource.at("destRange") not in configuration.ingress:
        return "it leads out of the workspace, to where nobody is who may come."
    return wrong(resource, {("nextHopGateway",): _INTERNET})


def only_the_agents_port_is_let_in(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No SSH, no remote desktop, nothing but the agents' port over TCP; and out goes nothing at all."""
    allowed = resource.entries("allows") if resource.type == FIREWALL else ()
    if allowed is UNKNOWN or (allowed and resource.at("direction") not in (None, "INGRESS")):
        return "it lets out what a CVM begins, and a CVM calls nobody."
    for entry in allowed:
        ports = listed(within(entry, "ports"))
        agent = within(entry, "protocol") == "tcp" and ports is not UNKNOWN and list(ports) == [str(endpoint.PORT)]
        if not agent:
            return f"it lets in more than TCP to port {endpoint.PORT}."
    return ""


def everybody_is_let_in_only_when_said(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The whole internet comes in by public: true alone; whoever comes is named by addresses."""
    if resource.type != FIREWALL or resource.at("allows") is None:
        return ""
    sources = resource.entries("sourceRanges")
    everybody = sources is UNKNOWN or not sources or any(one in _EVERYBODY or one is UNKNOWN for one in sources)
    return "it lets in everybody, and workspace.public is not true." if everybody and not configuration.public else ""


def keys_stay_in_hardware(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The disks' key is one of an HSM, and used by Compute Engine alone."""
    if resource.type == KEY:
        return wrong(resource, {("versionTemplate", "protectionLevel"): "HSM", ("purpose",): "ENCRYPT_DECRYPT"})
    if resource.type != GRANT:
        return ""
    if not uses(resource, KEY):
        return "it grants the use of a key that is not the workspace's."
    member = resource.at("member")
    # The agent's name has the project's number, which a preview may have to ask for first.
    if member is not UNKNOWN and not _SERVICE_AGENT.match(str(member)):
        return f"it lets {member} use the disks' key."
    return wrong(resource, {("role",): _KEY_USER})


RULES: tuple[Rule, ...] = (
    *FOR_CLOUDS,
    the_project_is_the_configured_one,
    it_stays_in_the_region,
    a_machine_is_a_configured_cvm,
    a_machine_is_confidential,
    a_machine_is_not_moved,
    its_disk_has_the_workspaces_key,
    a_machine_is_told_its_owners,
    metadata_opens_nothing,
    an_interface_is_a_dead_end,
    a_machine_may_do_nothing,
    an_address_is_asked_for,
    a_network_is_bare,
    routes_lead_to_who_may_come,
    only_the_agents_port_is_let_in,
    everybody_is_let_in_only_when_said,
    keys_stay_in_hardware,
)
