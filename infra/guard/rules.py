"""The rules for every backend and those for both clouds: functions of a resource and its workspace's configuration.

A value that cannot be read never satisfies a rule.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.backends import descriptor, rolling
from infra.configuration import cloud
from infra.configuration.workspace import CvmConfiguration, WorkspaceConfiguration
from infra.guard import inputs
from infra.resources import labels, types
from infra.resources.resource import UNKNOWN, Key, Resource
from infra.resources.types import LOCAL_CVM

Rule = Callable[[Resource, WorkspaceConfiguration], str]
"""Returns why the resource is refused, as a sentence; an empty text if it is not."""

ONLY_ANSWERS = "only networks of workspace.ingress may be routed, and only with a public endpoint."

_LOGIN_INPUTS = (
    "password",
    "sshkey",
    "sshkeys",
    "publickeys",
    "adminpassword",
    "adminusername",
    "ssh-keys",
    "osprofile",
)
_CLOUD_PACKAGES = ("azure-native:", "gcp:")
# Inputs whose changes may be ignored, by type: labels of disks and keys, which the clouds cannot update.
_MAY_IGNORE = {
    "gcp:compute/instance:Instance": ("bootDisk.initializeParams.labels",),
    "azure-native:keyvault:Key": ("tags",),
}
_MACHINES = (LOCAL_CVM, "azure-native:compute:VirtualMachine", "gcp:compute/instance:Instance")
_KEYS = (
    "azure-native:keyvault:Vault",
    "azure-native:keyvault:Key",
    "gcp:kms/keyRing:KeyRing",
    "gcp:kms/cryptoKey:CryptoKey",
)


def resource_type_is_allowed(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Types are on an allow-list: for each, its reachability, cost and exposure have been reviewed."""
    known = resource.type in types.TYPES[configuration.backend] or resource.type in types.STACK
    return (
        ""
        if known
        else f"the type {resource.type} is not allowed in a workspace with the backend {configuration.backend}."
    )


def inputs_are_allowed(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Inputs are on an allow-list, like types."""
    found = inputs.not_allowed(resource.type, resource.inputs)
    return f"these inputs are not allowed: {', '.join(found)}." if found else ""


def no_login_is_configured(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No password, SSH key or account of the guest's operating system, at any depth of the inputs."""
    found = sorted(name for name in set(_names(resource.inputs)) if name.lower().replace("_", "") in _LOGIN_INPUTS)
    return f"{', '.join(found)} must not be set: a CVM has no login." if found else ""


def provider_is_explicit(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Without the workspace's provider a resource would be created wherever the environment's credentials point."""
    in_cloud = resource.type.startswith(_CLOUD_PACKAGES)
    return "it does not use the workspace's own provider." if in_cloud and not resource.explicit_provider else ""


def required_labels_are_set(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """The resource itself must show which workspace it belongs to, for billing and searches."""
    name = types.label_input(resource.type)
    wanted = labels.labels(configuration) if name else {}
    missing = [label for label, value in wanted.items() if resource.at(name, label) != value]
    return f"{name} are missing or have another value: {', '.join(missing)}." if missing else ""


def keys_are_protected(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Data is lost with the key that encrypts it."""
    unprotected = resource.type in _KEYS and not resource.protected
    return "it must be protected and retained: data is lost with the key that encrypts it." if unprotected else ""


def no_change_is_ignored(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """An ignored change leaves the previous value in place, and no rule checks that one."""
    ignored = [path for path in resource.ignore_changes if path not in _MAY_IGNORE.get(resource.type, ())]
    return f"ignore_changes must not include {', '.join(ignored)}." if ignored else ""


def machine_has_deletion_hook(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A machine must not be deleted during an unfinished run, whatever the reason for deleting it."""
    unchecked = resource.type in _MACHINES and rolling.HOOK not in resource.before_delete
    return "it has no hook that checks for an unfinished run before it is deleted." if unchecked else ""


FOR_ALL: tuple[Rule, ...] = (
    resource_type_is_allowed,
    no_login_is_configured,
    no_change_is_ignored,
    machine_has_deletion_hook,
)
FOR_CLOUDS: tuple[Rule, ...] = (
    *FOR_ALL,
    inputs_are_allowed,
    provider_is_explicit,
    required_labels_are_set,
    keys_are_protected,
)


def cvm_of(machine: Resource, configuration: WorkspaceConfiguration) -> CvmConfiguration | None:
    """The configured CVM with the machine's name."""
    return next((cvm for cvm in configuration.cvms if cvm.name == machine.name), None)


def boot_configuration_of(machine: Resource, configuration: WorkspaceConfiguration) -> bytes:
    """The machine's boot configuration, encoded; empty when the configuration has no such CVM."""
    found = descriptor.boot_configurations(configuration)
    return next((boot.encode() for boot in found if boot.cvm == machine.name), b"")


def mismatch(resource: Resource, expected: Mapping[tuple[str, ...], Any]) -> str:
    """A sentence about the first input that differs from ``expected`` (path -> value), or an empty text."""
    for path, value in expected.items():
        found = resource.at(*path)
        if found is UNKNOWN or found != value or isinstance(found, bool) != isinstance(value, bool):
            but = (
                "it is not known yet" if found is UNKNOWN else "it is not set" if found is None else f"it is {found!r}"
            )
            return f"{'.'.join(path)} must be {value!r}, but {but}."
    return ""


def uses(resource: Resource, kind: str) -> bool:
    """Whether the resource depends on one of type ``kind`` of this workspace.

    The identifier of such a resource is not known before it is created; one that is known belongs to something else.
    """
    return any(other == kind for other, _ in resource.dependencies)


def registry_reference(registry: str) -> Key:
    """The stack reference to the configured registry, from which a machine's image comes."""
    return "pulumi:pulumi:StackReference", registry


def is_public(configuration: WorkspaceConfiguration) -> bool:
    return configuration.endpoint == cloud.PUBLIC


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)
