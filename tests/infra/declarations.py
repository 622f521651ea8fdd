"""The resources that the backends declare, as the guard sees them, from the golden files in ``declarations``."""

import json
from pathlib import Path

import yaml

from infra.configuration import workspace
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources.resource import Resource

FOLDER = Path(__file__).parent / "declarations"
CLOUDS = ("azure-private-snp", "azure-public-tdx", "azure-public-tdx-signed", "gcp-private-snp", "gcp-public-tdx")

# A recording does not have names that Azure generates, or dependencies on them.
_NETWORK = ("azure-native:network:VirtualNetwork", "network")


def configuration(name: str) -> WorkspaceConfiguration:
    return workspace.parse("lab", yaml.safe_load((FOLDER / f"{name.removesuffix('-signed')}.yaml").read_text()))


def resources(name: str) -> list[Resource]:
    """In the order in which the guard gets them: each after its dependencies."""
    said = json.loads((FOLDER / f"{name}.json").read_text())["resources"]
    left = [_resource(title, one["inputs"], one["options"]) for title, one in said.items()]
    done: list[Resource] = []
    while left:
        waiting = {one.key for one in left}
        done += [one for one in left if not waiting & set(one.dependencies)]
        left = [one for one in left if waiting & set(one.dependencies)]
    return done


def resource(name: str, title: str) -> Resource:
    return next(one for one in resources(name) if f"{one.type} {one.name}" == title)


def _resource(title: str, inputs: dict, options: dict) -> Resource:
    kind, name = title.split(" ", 1)
    dependencies = [tuple(one.split(" ", 1)) for one in options.get("depends_on", [])]
    if kind == "azure-native:network:Subnet":
        inputs |= {"virtualNetworkName": "network"}
        dependencies.append(_NETWORK)
    return Resource(
        type=kind,
        name=name,
        inputs=inputs,
        dependencies=tuple(dependencies),
        explicit_provider="provider" in options,
        protected=bool(options.get("protect") and options.get("retain_on_delete")),
        ignore_changes=tuple(options.get("ignore_changes", ())),
        before_delete=tuple(options.get("asked_before_delete", ())),
    )
