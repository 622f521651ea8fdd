"""The rules for the rest of a program that declares a workspace among other resources.

They may be anything, except a part of the workspace: a rule in its network, a peering with it, a machine in its
resource group. Such a resource names something of the workspace, whose names in the clouds are known.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources.resource import Resource
from infra.resources.types import WORKSPACE

_SUFFIX = "[0-9a-f]{7,8}"
_GOOGLE = ("gcp:", "google-native:")
_AZURE = ("azure-native:", "azure-native_", "azure:")
_SHORTEST = 23
"""Google's names of a workspace are its own up to this length, and may be shortened after it (infra/backends/gcp)."""


def violations(resource: Resource, configuration: WorkspaceConfiguration) -> list[str]:
    """Why ``resource``, which does not belong to the workspace, is refused, as sentences."""
    if resource.type == WORKSPACE:
        return [f"the stack has the workspace {configuration.name!r} already; declare each in a stack of its own."]
    found = next((text for text in _references(resource) if _is_of(text, resource.type, configuration)), None)
    if found is None:
        return []
    return [f"it refers to {found!r}, which belongs to the workspace {configuration.name!r}; only that may change it."]


def _is_of(text: str, type_: str, configuration: WorkspaceConfiguration) -> bool:
    """Whether ``text``, in a resource of type ``type_``, names something of the workspace."""
    name = re.escape(configuration.name)
    if configuration.backend == "azure" and type_.startswith(_AZURE):
        return re.search(rf"(^|/resourceGroups/){name}{_SUFFIX}(/|$)", text, re.IGNORECASE) is not None
    if configuration.backend == "gcp" and type_.startswith(_GOOGLE):
        whole = f"cloister-{configuration.name}"
        end = "[-@/]|$" if len(whole) < _SHORTEST else ""
        return re.search(rf"(^|[/:]){re.escape(whole[:_SHORTEST].rstrip('-'))}({end})", text) is not None
    return False


def _references(resource: Resource) -> Iterator[str]:
    """The strings in its inputs, without its own name."""
    for name, value in resource.inputs.items():
        if name != "name":
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
