"""The guard refuses what must not be deployed. For each rule, some resource breaks it and no other."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from infra.backends import rolling
from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard import guard, inputs
from infra.resources import types
from infra.resources.resource import UNKNOWN, Resource
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM
from tests.infra import declarations
from tests.infra.guard.broken_inputs import AGENT, BROKEN, GROUP, INSTANCE, INTERFACE, MACHINE, NETWORK, REMOVED, SUBNET

BOOT = '{"cvm":"trainer","owners":["' + "ab" * 32 + '"],"version":1,"workspace":"lab"}'
GOOD = {"imageDigest": "00" * 32, "bootConfiguration": BOOT}
LOCAL = WorkspaceConfiguration("lab", "local", "base", (), (), False)


def violations(kind: str, inputs: dict[str, Any]) -> list[str]:
    return guard.violations(Resource(kind, "trainer", inputs, before_delete=(rolling.HOOK,)), LOCAL)


def test_local_workspace_breaks_no_rule():
    assert violations(LOCAL_CVM, GOOD) == []
    assert violations(LOCAL_AUTHORITY, {"workspace": "lab"}) == []
    assert violations("cloister:index:Workspace", {}) == []


def test_unknown_resource_type_is_refused():
    found = violations("docker:index:Container", {"image": "busybox"})
    assert found == ["the type docker:index:Container is not allowed in a workspace with the backend local."]


def test_cvm_without_owners_is_refused():
    assert len(violations(LOCAL_CVM, GOOD | {"bootConfiguration": BOOT.replace('"' + "ab" * 32 + '"', "")})) == 1


def test_image_without_digest_is_refused():
    found = violations(LOCAL_CVM, {"image": "base", "bootConfiguration": BOOT})
    assert found == ["imageDigest must be set."]


def test_login_is_refused():
    found = violations(LOCAL_CVM, GOOD | {"adminPassword": "secret", "sshKey": "ssh-ed25519"})
    assert found == ["adminPassword, sshKey must not be set: a CVM has no login."]


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_backends_break_no_rule(name: str):
    checker = guard.Guard(declarations.configuration(name))
    assert [sentence for one in declarations.resources(name) for sentence in checker.check(one)] == []


@pytest.mark.parametrize(
    ("name", "title", "path", "value", "sentence"),
    BROKEN,
    ids=[f"{b[1].split(':')[-1]}.{b[2]}-{number}" for number, b in enumerate(BROKEN)],
)
def test_one_broken_input_breaks_one_rule(name: str, title: str, path: str, value: Any, sentence: str):
    resource = declarations.resource(name, title)
    broken = replace(resource, inputs=changed(resource.inputs, path, value))
    assert guard.violations(broken, declarations.configuration(name)) == [sentence]


# Inputs that a preview does not know yet. They may be unknown if they come from another resource of the workspace.
REFERENCES = (
    "location",
    "storageProfile.osDisk.managedDisk.securityProfile.diskEncryptionSet",
    "networkSecurityGroup",
    "routeTable",
    "bootDisk.kmsKeySelfLink",
    "diskEncryptionKey.kmsKeySelfLink",
    "bootDisk.initializeParams.image",
    "member",
    "routeTable.id",
)


@pytest.mark.parametrize(
    ("name", "title", "path"), sorted({broken[:3] for broken in BROKEN if broken[2] not in REFERENCES})
)
def test_unreadable_input_is_refused(name: str, title: str, path: str):
    resource = declarations.resource(name, title)
    unreadable = replace(resource, inputs=changed(resource.inputs, path, UNKNOWN))
    assert guard.violations(unreadable, declarations.configuration(name)) != []


IMAGE = "pulumi:pulumi:StackReference"

# (declaration, resource, input, type of the resource from which it must come)
OWN = [
    ("azure-private-snp", MACHINE, "location", "azure-native:resources:ResourceGroup"),
    ("azure-private-snp", MACHINE, "storageProfile.imageReference.id", IMAGE),
    (
        "azure-private-snp",
        MACHINE,
        "identity.userAssignedIdentities.0",
        "azure-native:managedidentity:UserAssignedIdentity",
    ),
    ("azure-public-tdx-signed", MACHINE, REFERENCES[1], "azure-native:compute:DiskEncryptionSet"),
    (
        "azure-public-tdx-signed",
        "azure-native:compute:DiskEncryptionSet disks",
        "activeKey.keyUrl",
        "azure-native:keyvault:Key",
    ),
    (
        "azure-public-tdx-signed",
        "azure-native:authorization:RoleAssignment disks-wrap",
        "scope",
        "azure-native:keyvault:Key",
    ),
    (
        "azure-public-tdx-signed",
        "azure-native:authorization:RoleAssignment disks-wrap",
        "principalId",
        "azure-native:compute:DiskEncryptionSet",
    ),
    ("gcp-private-snp", INSTANCE, "bootDisk.kmsKeySelfLink", "gcp:kms/cryptoKey:CryptoKey"),
    ("gcp-private-snp", INSTANCE, "bootDisk.initializeParams.image", IMAGE),
    ("gcp-private-snp", INSTANCE, "serviceAccount.email", "gcp:serviceaccount/account:Account"),
    (
        "gcp-private-snp",
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember cloister-lab",
        "cryptoKeyId",
        "gcp:kms/cryptoKey:CryptoKey",
    ),
]


@pytest.mark.parametrize(("name", "title", "path", "kind"), OWN)
@pytest.mark.parametrize("value", [UNKNOWN, "/of/another/owner"])
def test_reference_to_a_foreign_resource_is_refused(name: str, title: str, path: str, kind: str, value: Any):
    resource = declarations.resource(name, title)
    others = tuple(key for key in resource.dependencies if key[0] != kind)
    assert len(others) < len(resource.dependencies)
    foreign = replace(resource, inputs=changed(resource.inputs, path, value), dependencies=others)
    assert len(guard.violations(foreign, declarations.configuration(name))) == 1


def test_image_of_another_registry_is_refused():
    name = "gcp-private-snp"
    machine = declarations.resource(name, INSTANCE)
    others = tuple(
        (kind, "organization/cloister-registry/other") if kind == IMAGE else (kind, one)
        for kind, one in machine.dependencies
    )
    found = guard.violations(replace(machine, dependencies=others), declarations.configuration(name))
    assert found == ["its image must come from the registry organization/cloister-registry/images."]


def test_only_the_configured_orchestrator_may_also_use_the_key():
    name = "azure-public-tdx-signed"
    grant = declarations.resource(name, "azure-native:authorization:RoleAssignment orchestrator-release")
    foreign = replace(grant, inputs=changed(grant.inputs, "principalId", "22222222-2222-3333-4444-555555555555"))
    found = guard.violations(foreign, declarations.configuration(name))
    assert found == ["principalId must be the disk encryption set or workspace.azure.orchestrator."]


# Inputs that no backend declares, with their effects.
UNLISTED: list[tuple[str, str, str, Any]] = [
    # Another interface, with a public address and no rules.
    ("azure-private-snp", MACHINE, "networkProfile.networkInterfaceConfigurations", [{"name": "beside"}]),
    # Memory on a disk.
    ("azure-private-snp", MACHINE, "additionalCapabilities.hibernationEnabled", True),
    # Can be stopped by the cloud at any time.
    ("azure-private-snp", MACHINE, "priority", "Spot"),
    ("gcp-private-snp", INSTANCE, "scheduling.preemptible", True),
    # Other workloads in the same subnet.
    ("azure-private-snp", SUBNET, "sharingScope", "Tenant"),
    # A copy of all packets.
    ("azure-private-snp", INTERFACE, "ipConfigurations.0.virtualNetworkTaps", [{"id": "tap"}]),
    # Stateless rules.
    ("azure-private-snp", INTERFACE, "disableTcpStateTracking", True),
    # A DNS server of someone else.
    ("azure-private-snp", NETWORK, "dhcpOptions.dnsServers", ["192.0.2.53"]),
    # Anyone in a network may use the vault.
    (
        "azure-public-tdx-signed",
        "azure-native:keyvault:Vault keys",
        "properties.networkAcls.virtualNetworkRules",
        [{"id": "network"}],
    ),
    # Screenshots.
    ("gcp-private-snp", INSTANCE, "enableDisplay", True),
    # An existing disk.
    ("gcp-private-snp", INSTANCE, "bootDisk.source", "disk"),
    # Rules of the organization that select machines by tags.
    ("gcp-private-snp", INSTANCE, "params.resourceManagerTags", {"tagKeys/1": "tagValues/2"}),
    # Another project's network.
    ("gcp-private-snp", INSTANCE, "networkInterfaces.0.networkAttachment", "attachment"),
    ("gcp-private-snp", "gcp:compute/network:Network cloister-lab", "enableUlaInternalIpv6", True),
    # A credential in the state, and another account.
    ("azure-private-snp", "pulumi:providers:azure-native azure", "clientSecret", UNKNOWN),
    ("gcp-private-snp", "pulumi:providers:gcp gcp", "impersonateServiceAccount", "other@example.org"),
    # Unreadable values.
    ("gcp-private-snp", INSTANCE, "partnerMetadata", UNKNOWN),
]


@pytest.mark.parametrize(("name", "title", "path", "value"), UNLISTED)
def test_unlisted_input_is_refused(name: str, title: str, path: str, value: Any):
    resource = declarations.resource(name, title)
    broken = replace(resource, inputs=changed(resource.inputs, path, value))
    found = guard.violations(broken, declarations.configuration(name))
    assert len(found) == 1
    assert path.split(".")[-1] in found[0] or path.split(".")[0] in found[0]
    assert found[0].startswith("these inputs are not allowed: ")


def test_every_cloud_type_has_its_allowed_inputs():
    declared = {kind for cloud in ("azure", "gcp") for kind in types.TYPES[cloud]}
    assert set(inputs.INPUTS) == {kind for kind in declared if not kind.startswith("cloister:")}


@pytest.mark.parametrize("service", ["no-names", "no-licences"])
def test_reachable_host_service_is_refused(service: str):
    name = "azure-private-snp"
    checker = guard.Guard(declarations.configuration(name))
    sentences = []
    for one in declarations.resources(name):
        if f"{one.type} {one.name}" == GROUP:
            rules = [rule for rule in one.inputs["securityRules"] if rule["name"] != service]
            one = replace(one, inputs=changed(one.inputs, "securityRules", rules))
        sentences += checker.check(one)
    assert sentences == [f"trainer can reach the host's services {service.removeprefix('no-')}; they must be blocked."]


@pytest.mark.parametrize("subnet", ["cvms-of-others", "other"])
def test_subnet_with_a_similar_name_is_refused(subnet: str):
    name = "azure-private-snp"
    configuration = declarations.configuration(name)
    assert configuration.azure is not None
    group = f"/subscriptions/{configuration.azure.subscription}/resourceGroups/r"
    foreign = f"{group}/providers/Microsoft.Network/virtualNetworks/v/subnets/{subnet}"
    checker = guard.Guard(configuration)
    sentences = []
    for one in declarations.resources(name):
        if f"{one.type} {one.name}" == INTERFACE:
            one = replace(one, inputs=changed(one.inputs, "ipConfigurations.0.subnet.id", foreign))
        sentences += checker.check(one)
    assert any("which workspace.ingress does not allow." in sentence for sentence in sentences)


def test_every_rule_has_a_test_that_breaks_it():
    sentences = [
        (rule.__name__, rule(replace(one, inputs=changed(one.inputs, path, value)), declarations.configuration(name)))
        for name, title, path, value, _ in BROKEN
        for one in [declarations.resource(name, title)]
        for rule in guard.RULES[name.partition("-")[0]]
    ]
    others = {
        "resource_type_is_allowed",
        "provider_is_explicit",
        "no_change_is_ignored",
        "machine_has_deletion_hook",
        "keys_are_protected",
        "public_address_is_configured",
    }
    rules = {rule.__name__ for cloud in ("azure", "gcp") for rule in guard.RULES[cloud]}
    assert {name for name, said in sentences if said} | others == rules


@pytest.mark.parametrize("name", ["azure-private-snp", "gcp-private-snp"])
def test_unknown_resource_type_is_refused_in_a_cloud(name: str):
    found = guard.violations(Resource("random:index:RandomPet", "pet", {}), declarations.configuration(name))
    backend = name.partition("-")[0]
    assert found == [f"the type random:index:RandomPet is not allowed in a workspace with the backend {backend}."]


@pytest.mark.parametrize(("name", "title"), [("azure-private-snp", MACHINE), ("gcp-private-snp", INSTANCE)])
def test_resource_without_the_workspaces_provider_is_refused(name: str, title: str):
    found = guard.violations(
        replace(declarations.resource(name, title), explicit_provider=False), declarations.configuration(name)
    )
    assert found == ["it does not use the workspace's own provider."]


@pytest.mark.parametrize(("name", "title"), [("azure-private-snp", MACHINE), ("gcp-private-snp", INSTANCE)])
def test_machine_without_deletion_hook_is_refused(name: str, title: str):
    for hooks in ((), ("another",)):
        unhooked = replace(declarations.resource(name, title), before_delete=hooks)
        found = guard.violations(unhooked, declarations.configuration(name))
        assert found == ["it has no hook that checks for an unfinished run before it is deleted."]


def test_local_machine_without_deletion_hook_is_refused():
    found = guard.violations(Resource(LOCAL_CVM, "trainer", GOOD), LOCAL)
    assert found == ["it has no hook that checks for an unfinished run before it is deleted."]


def test_ignored_changes_are_refused():
    name = "azure-private-snp"
    kept = replace(declarations.resource(name, GROUP), ignore_changes=("securityRules",))
    assert guard.violations(kept, declarations.configuration(name)) == [
        "ignore_changes must not include securityRules."
    ]
    # A key's tags cannot be changed; a machine's contain the address of its agent.
    kept = replace(declarations.resource(name, MACHINE), ignore_changes=("tags",))
    assert guard.violations(kept, declarations.configuration(name)) == ["ignore_changes must not include tags."]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("azure-public-tdx-signed", "azure-native:keyvault:Vault keys"),
        ("azure-public-tdx-signed", "azure-native:keyvault:Key disks"),
        ("gcp-private-snp", "gcp:kms/keyRing:KeyRing cloister-lab"),
        ("gcp-private-snp", "gcp:kms/cryptoKey:CryptoKey cloister-lab"),
    ],
)
def test_unprotected_key_is_refused(name: str, title: str):
    found = guard.violations(
        replace(declarations.resource(name, title), protected=False), declarations.configuration(name)
    )
    assert found == ["it must be protected and retained: data is lost with the key that encrypts it."]


@pytest.mark.parametrize(
    ("name", "title", "what"),
    [
        ("azure-public-tdx", "azure-native:network:PublicIPAddress trainer", "a public"),
        ("gcp-public-tdx", "gcp:compute/address:Address cloister-lab-trainer", "an external"),
    ],
)
def test_public_address_behind_a_private_endpoint_is_refused(name: str, title: str, what: str):
    private = replace(declarations.configuration(name), endpoint="private")
    found = guard.violations(declarations.resource(name, title), private)
    assert found == [f"it is {what} address, but workspace.endpoint is private."]


@pytest.mark.parametrize(
    ("name", "title"),
    [("azure-private-snp", MACHINE), ("gcp-private-snp", INSTANCE)],
)
def test_machine_that_is_not_configured_is_refused(name: str, title: str):
    found = guard.violations(
        replace(declarations.resource(name, title), name="stranger"), declarations.configuration(name)
    )
    assert "the configuration has no CVM 'stranger'." in found


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("azure-private-snp", GROUP),
        ("azure-private-snp", SUBNET),
        ("gcp-private-snp", "gcp:compute/firewall:Firewall cloister-lab-deny-egress"),
    ],
)
def test_machine_declared_before_its_network_rules_is_refused(name: str, missing: str):
    checker = guard.Guard(declarations.configuration(name))
    resources = [one for one in declarations.resources(name) if f"{one.type} {one.name}" != missing]
    assert any("a CVM must open no connection" in sentence for one in resources for sentence in checker.check(one))


def test_allow_rule_declared_after_the_machine_is_refused():
    name = "gcp-private-snp"
    checker = guard.Guard(declarations.configuration(name))
    assert [sentence for one in declarations.resources(name) for sentence in checker.check(one)] == []
    allow_rule = replace(
        declarations.resource(name, AGENT),
        name="later",
        inputs=changed(declarations.resource(name, AGENT).inputs, "sourceRanges", ["192.0.2.0/24"]),
    )
    assert checker.check(allow_rule) == [
        "trainer accepts tcp/6110 from 192.0.2.0/24, which workspace.ingress does not allow."
    ]


def test_duplicate_resource_is_refused():
    checker = guard.Guard(declarations.configuration("gcp-private-snp"))
    network = declarations.resource("gcp-private-snp", "gcp:compute/network:Network cloister-lab")
    assert checker.check(network) == []
    assert checker.check(network) == ["it is already declared."]


def changed(inputs: Any, path: str, value: Any) -> dict[str, Any]:
    """A copy of ``inputs`` with ``value`` at the dotted ``path``."""
    copy = deepcopy(dict(inputs))
    *way, last = path.split(".")
    inner: Any = copy
    for step in way:
        inner = inner[int(step)] if isinstance(inner, list) else inner.setdefault(step, {})
    if isinstance(inner, list):
        inner[int(last)] = value
    elif value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return copy
