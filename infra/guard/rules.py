"""Rules for every backend, and for both clouds: plain functions over a resource and the configuration of its workspace.

A value that cannot be read is not the one that a rule asks for.
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
"""A sentence that says why the resource is refused, or an empty text."""

_LOGINS = ("password", "sshkey", "sshkeys", "publickeys", "adminpassword", "adminusername", "ssh-keys", "osprofile")
_CLOUD_PACKAGES = ("azure-native:", "gcp:")
# Labels that no cloud changes on what is there, by type: a disk's and a key's.
_HARMLESS = {
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


def only_known_types(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A workspace is what was thought about: how it is reached, what it costs, what it gives away."""
    known = resource.type in types.TYPES[configuration.backend] or resource.type in types.STACK
    return "" if known else f"a workspace of the backend {configuration.backend} has no {resource.type}."


def only_known_inputs(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """What nobody thought about is not said: an allow-list of inputs, as of types."""
    found = inputs.unknown(resource.type, resource.inputs)
    return f"it has {', '.join(found)}, of which no rule knows what it opens." if found else ""


def nobody_logs_in(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """No password, no SSH key and no account for a guest's operating system, at any depth."""
    found = sorted(name for name in set(_names(resource.inputs)) if name.lower().replace("_", "") in _LOGINS)
    return f"it has {', '.join(found)}: nobody logs in to a CVM." if found else ""


def its_provider_is_named(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Without a provider of its own a resource would land wherever the environment's credentials point."""
    cloudy = resource.type.startswith(_CLOUD_PACKAGES)
    return "it has no provider of the workspace's own." if cloudy and not resource.explicit_provider else ""


def it_is_labelled(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Whose it is and who pays must be readable on the resource itself."""
    name = types.label_input(resource.type)
    wanted = labels.labels(configuration) if name else {}
    missing = [label for label, value in wanted.items() if resource.at(name, label) != value]
    return f"it lacks the {name} {', '.join(missing)}." if missing else ""


def keys_are_kept(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """What a key encrypted is lost with it."""
    unkept = resource.type in _KEYS and not resource.protected
    return "it is not protected and retained, and what a key encrypts is lost with it." if unkept else ""


def what_is_declared_is_made(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A change that is ignored leaves what was there before, which nobody judges."""
    kept = [path for path in resource.ignore_changes if path not in _HARMLESS.get(resource.type, ())]
    return f"it ignores changes of {', '.join(kept)}." if kept else ""


def a_machine_is_asked_before_it_goes(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Its run is lost with it, whatever the reason is for which it goes."""
    unasked = resource.type in _MACHINES and rolling.HOOK not in resource.before_delete
    return "nobody asks it whether a run is unfinished before it goes." if unasked else ""


FOR_ALL: tuple[Rule, ...] = (
    only_known_types,
    nobody_logs_in,
    what_is_declared_is_made,
    a_machine_is_asked_before_it_goes,
)
FOR_CLOUDS: tuple[Rule, ...] = (*FOR_ALL, only_known_inputs, its_provider_is_named, it_is_labelled, keys_are_kept)


def cvm_of(machine: Resource, configuration: WorkspaceConfiguration) -> CvmConfiguration | None:
    """The CVM of the configuration that a machine is: they have one name."""
    return next((cvm for cvm in configuration.cvms if cvm.name == machine.name), None)


def boot_of(machine: Resource, configuration: WorkspaceConfiguration) -> bytes:
    """What the machine must be told when it starts; empty when the configuration has no such CVM."""
    boots = descriptor.boots(configuration)
    return next((boot.encode() for boot in boots if boot.cvm == machine.name), b"")


def wrong(resource: Resource, wanted: Mapping[tuple[str, ...], Any]) -> str:
    """A sentence about the first input that is not as ``wanted``, or an empty text."""
    for path, value in wanted.items():
        found = resource.at(*path)
        if found is UNKNOWN or found != value or isinstance(found, bool) != isinstance(value, bool):
            said = "is not known" if found is UNKNOWN else "is missing" if found is None else f"is {found!r}"
            return f"{'.'.join(path)} {said}, and must be {value!r}."
    return ""


def uses(resource: Resource, kind: str) -> bool:
    """Whether something of the resource comes from one of type ``kind``: an identifier is not known before it is made,
    and what is known from the beginning belongs to somebody else.
    """
    return any(other == kind for other, _ in resource.dependencies)


def held_by(registry: str) -> Key:
    """The reference to the registry of the configuration, from which a machine's image comes."""
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
