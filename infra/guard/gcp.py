"""The rules for a workspace in Google Cloud."""

import re

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
from infra.reach.gcp import FIREWALL, MACHINE, NETWORK, ROUTE, SUBNET
from infra.resources.resource import UNKNOWN, Resource, listed, within

PROVIDER = "pulumi:providers:gcp"
ADDRESS = "gcp:compute/address:Address"
DISK = "gcp:compute/disk:Disk"
KEY = "gcp:kms/cryptoKey:CryptoKey"
GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
ACCOUNT = "gcp:serviceaccount/account:Account"

BOOT_CONFIGURATION = "cloister-boot-configuration"
# Compute Engine, "Predefined metadata keys": these only disable something.
_LOCKDOWN = {
    "block-project-ssh-keys": "TRUE",
    "enable-guest-attributes": "FALSE",
    "serial-port-enable": "FALSE",
    "serial-port-logging-enable": "FALSE",
}
_CLOISTER_KEYS = (BOOT_CONFIGURATION, "cloister-boot-configuration-digest", "cloister-endpoint", "cloister-image")
_TECHNOLOGIES = {"sev-snp": "SEV_SNP", "tdx": "TDX"}
_SCOPES = ("https://www.googleapis.com/auth/userinfo.email",)
_KEY_USER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
# The Compute Engine service agent (IAM, "Service agents").
_SERVICE_AGENT = re.compile(r"serviceAccount:service-[0-9]+@compute-system\.iam\.gserviceaccount\.com\Z")
_ANY_SOURCE = ("0.0.0.0/0", "::/0")
_INTERNET = "default-internet-gateway"


def resource_is_in_configured_project(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The configuration decides, not the environment or the account that is logged in."""
    place = configuration.gcp
    if place is None:
        return ""
    if resource.type == PROVIDER:
        return mismatch(resource, {("project",): place.project})
    return "" if resource.at("project") is None else mismatch(resource, {("project",): place.project})


def resource_is_in_configured_region(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The parties agree on a region."""
    place = configuration.gcp
    if place is None:
        return ""
    for name in ("region", "location"):
        if resource.at(name) not in (None, place.region):
            return mismatch(resource, {(name,): place.region})
    return ""


def machine_is_a_configured_cvm(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """In its zone, with the machine type for its TEE."""
    if resource.type != MACHINE or configuration.gcp is None:
        return ""
    cvm = cvm_of(resource, configuration)
    if cvm is None:
        return f"the configuration has no CVM {resource.name!r}."
    return mismatch(resource, {("machineType",): cvm.size, ("zone",): f"{configuration.gcp.region}-{cvm.zone}"})


def machine_is_confidential(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It has the configured TEE, and a vTPM, without which it has no evidence."""
    cvm = cvm_of(resource, configuration) if resource.type == MACHINE else None
    if cvm is None:
        return ""
    technology = _TECHNOLOGIES[cvm.tee]
    expected: dict[tuple[str, ...], object] = {
        ("confidentialInstanceConfig", "confidentialInstanceType"): technology,
        ("shieldedInstanceConfig", "enableVtpm"): True,
    }
    # pulumi-gcp, compute.Instance, confidentialInstanceType: SEV_SNP is refused elsewhere.
    if technology == "SEV_SNP":
        expected["minCpuPlatform",] = "AMD Milan"
    return mismatch(resource, expected)


def machine_is_not_migrated(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """SEV-SNP and TDX do not support live migration. A restarted machine would have lost its sessions and its run."""
    if resource.type != MACHINE:
        return ""
    return mismatch(
        resource, {("scheduling", "onHostMaintenance"): "TERMINATE", ("scheduling", "automaticRestart"): False}
    )


def boot_disk_uses_workspace_key(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It boots from a published image, on a disk that is encrypted with the workspace's key."""
    if resource.type != MACHINE:
        return ""
    for name in ("scratchDisks", "guestAccelerators"):
        if resource.at(name) not in (None, []):
            return f"{name} must not be set."
    if resource.at("bootDisk", "initializeParams", "image") is None:
        return "bootDisk.initializeParams.image must be set."
    place = configuration.gcp
    if place is not None and registry_reference(place.registry) not in resource.dependencies:
        return f"its image must come from the registry {place.registry}."
    encrypted = resource.at("bootDisk", "kmsKeySelfLink") is not None and uses(resource, KEY)
    return "" if encrypted else "bootDisk.kmsKeySelfLink must be the workspace's own key."


def scratch_disk_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Besides its boot disk an instance has the CVM's configured scratch disk only, which has the workspace's key."""
    if resource.type == DISK:
        return _scratch_disk_problem(resource, configuration)
    cvm = cvm_of(resource, configuration) if resource.type == MACHINE else None
    if cvm is None:
        return ""
    disks = resource.entries("attachedDisks")
    if not cvm.scratch:
        return "attachedDisks must not be set: the CVM has no scratch disk." if disks is UNKNOWN or disks else ""
    own = disks is not UNKNOWN and len(disks) == 1 and (DISK, f"{cvm.name}-scratch") in resource.dependencies
    return "" if own else "attachedDisks must be the CVM's own scratch disk, and no other."


def _scratch_disk_problem(disk: Resource, configuration: WorkspaceConfiguration) -> str:
    cvm = next((cvm for cvm in configuration.cvms if disk.name == f"{cvm.name}-scratch"), None)
    if cvm is None or not cvm.scratch or configuration.gcp is None:
        return f"the configuration has no CVM with the scratch disk {disk.name!r}."
    if disk.at("diskEncryptionKey", "kmsKeySelfLink") is None or not uses(disk, KEY):
        return "diskEncryptionKey.kmsKeySelfLink must be the workspace's own key."
    zone = f"{configuration.gcp.region}-{cvm.zone}"
    return mismatch(disk, {("size",): cvm.scratch // GIBIBYTE, ("zone",): zone})


def boot_configuration_is_passed(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The metadata have exactly the boot configuration, because the guest measures it."""
    if resource.type != MACHINE:
        return ""
    expected = boot_configuration_of(resource, configuration).decode()
    passed = expected and resource.at("metadata", BOOT_CONFIGURATION) == expected
    return "" if passed else f"metadata.{BOOT_CONFIGURATION} must be the CVM's boot configuration."


def metadata_is_restricted(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Metadata can enable SSH keys, scripts, consoles and guest attributes; only keys that disable them are allowed."""
    if resource.type != MACHINE:
        return ""
    metadata = resource.at("metadata")
    if metadata is UNKNOWN or resource.at("metadataStartupScript") is not None:
        return "metadata must be known before deployment, and metadataStartupScript must not be set."
    unknown = sorted(set(metadata or {}) - {*_LOCKDOWN, *_CLOISTER_KEYS})
    if unknown:
        return f"these metadata keys are not allowed: {', '.join(unknown)}."
    return mismatch(resource, {("metadata", name): value for name, value in _LOCKDOWN.items()})


def interface_is_isolated(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It has one interface, does not forward packets, and has an external address only with a public endpoint."""
    if resource.type != MACHINE:
        return ""
    if resource.at("canIpForward") not in (None, False):
        return "canIpForward must be False, or not set."
    interfaces = resource.entries("networkInterfaces")
    if interfaces is UNKNOWN or len(interfaces) != 1:
        return "it must have exactly one network interface."
    if any(within(interfaces[0], name) not in (None, []) for name in ("ipv6AccessConfigs", "aliasIpRanges")):
        return "ipv6AccessConfigs and aliasIpRanges must not be set."
    if within(interfaces[0], "stackType") not in (None, "IPV4_ONLY"):
        return "stackType must be 'IPV4_ONLY', or not set: the rules cover IPv4 only."
    external = within(interfaces[0], "accessConfigs") not in (None, [])
    return (
        "it has an external address, but workspace.endpoint is private."
        if external and not is_public(configuration)
        else ""
    )


def service_account_has_no_access(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Its service account is the workspace's own, which has no role; its tokens give access to no service."""
    account = resource.at("serviceAccount") if resource.type == MACHINE else None
    if account is None:
        return ""
    scopes = listed(within(account, "scopes"))
    if scopes is UNKNOWN or not all(scope in _SCOPES for scope in scopes):
        return f"serviceAccount.scopes must be {', '.join(_SCOPES)} only."
    return "" if uses(resource, ACCOUNT) else "serviceAccount must be the workspace's own service account."


def public_address_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """An unused external address could be attached to a machine later."""
    unexpected = resource.type == ADDRESS and not is_public(configuration)
    return "it is an external address, but workspace.endpoint is private." if unexpected else ""


def network_has_no_defaults(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """It has no automatic subnets or default routes, and no Private Google Access."""
    if resource.type == NETWORK:
        return mismatch(resource, {("autoCreateSubnetworks",): False, ("deleteDefaultRoutesOnCreate",): True})
    if resource.type == SUBNET:
        return mismatch(resource, {("privateIpGoogleAccess",): False, ("stackType",): "IPV4_ONLY"})
    return ""


def routes_are_restricted(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Answers are routed to the networks of ``ingress`` only, with a public endpoint."""
    if resource.type != ROUTE:
        return ""
    if not is_public(configuration) or resource.at("destRange") not in configuration.ingress:
        return f"it leads to {resource.at('destRange')}; {ONLY_ANSWERS}"
    return mismatch(resource, {("nextHopGateway",): _INTERNET})


def only_agent_port_is_open(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Rules allow TCP to the agent's port only, inbound: no SSH, no remote desktop, no outbound connection."""
    allowed = resource.entries("allows") if resource.type == FIREWALL else ()
    if allowed is UNKNOWN or (allowed and resource.at("direction") not in (None, "INGRESS")):
        return "it must not allow outbound connections."
    for entry in allowed:
        ports = listed(within(entry, "ports"))
        agent = within(entry, "protocol") == "tcp" and ports is not UNKNOWN and list(ports) == [str(endpoint.PORT)]
        if not agent:
            return f"it must allow only TCP to port {endpoint.PORT}."
    return ""


def public_ingress_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Sources are addresses. All of the internet may be allowed only with ``public: true``."""
    if resource.type != FIREWALL or resource.at("allows") is None:
        return ""
    sources = resource.entries("sourceRanges")
    anyone = sources is UNKNOWN or not sources or any(one in _ANY_SOURCE or one is UNKNOWN for one in sources)
    return "it allows any source, but workspace.public is not true." if anyone and not configuration.public else ""


def keys_are_in_hardware(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The disks' key is in an HSM, and only Compute Engine can use it."""
    if resource.type == KEY:
        return mismatch(resource, {("versionTemplate", "protectionLevel"): "HSM", ("purpose",): "ENCRYPT_DECRYPT"})
    if resource.type != GRANT:
        return ""
    if not uses(resource, KEY):
        return "cryptoKeyId must be the workspace's own key."
    member = resource.at("member")
    # The service agent's name contains the project number, which a preview may not know yet.
    if member is not UNKNOWN and not _SERVICE_AGENT.match(str(member)):
        return f"member must be the Compute Engine service agent, but it is {member!r}."
    return mismatch(resource, {("role",): _KEY_USER})


RULES: tuple[Rule, ...] = (
    *FOR_CLOUDS,
    resource_is_in_configured_project,
    resource_is_in_configured_region,
    machine_is_a_configured_cvm,
    machine_is_confidential,
    machine_is_not_migrated,
    boot_disk_uses_workspace_key,
    scratch_disk_is_configured,
    boot_configuration_is_passed,
    metadata_is_restricted,
    interface_is_isolated,
    service_account_has_no_access,
    public_address_is_configured,
    network_has_no_defaults,
    routes_are_restricted,
    only_agent_port_is_open,
    public_ingress_is_configured,
    keys_are_in_hardware,
)
