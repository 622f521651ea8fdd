"""The guard of a stack checks each resource before the engine sees it, and ends a program that breaks a rule.

So `pulumi preview` fails as well as `pulumi up`.
"""

from collections.abc import Mapping

import pulumi

from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard import azure, gcp, local
from infra.guard.rules import Rule
from infra.guard.transform import read
from infra.reach import excess
from infra.reach.clouds import CLOUDS
from infra.resources.program import end_at_once
from infra.resources.resource import Key, Resource

RULES: Mapping[str, tuple[Rule, ...]] = {"local": local.RULES, "azure": azure.RULES, "gcp": gcp.RULES}

_HINT = "Change what declares it: the workspace's configuration or the program in infra/backends."


def violations(resource: Resource, configuration: WorkspaceConfiguration) -> list[str]:
    """Why the resource breaks the rules, one sentence for each rule."""
    return [sentence for rule in RULES[configuration.backend] if (sentence := rule(resource, configuration))]


class Guard:
    """Checks the resources of one stack in the order in which they are declared.

    A machine is checked against the network rules declared so far. It must therefore depend on them, and so is never up
    before they are.
    """

    def __init__(self, configuration: WorkspaceConfiguration) -> None:
        self._configuration = configuration
        self._declared: dict[Key, Resource] = {}

    def check(self, resource: Resource) -> list[str]:
        """What is wrong with ``resource``, or with the machines because of it, as sentences."""
        if resource.key in self._declared:
            return ["it is already declared."]
        self._declared[resource.key] = resource
        return violations(resource, self._configuration) or self._excess(resource)

    def _excess(self, resource: Resource) -> list[str]:
        """What the network allows beyond the configuration. A new machine changes nothing for the others."""
        cloud = CLOUDS.get(self._configuration.backend)
        if cloud is None:
            return []
        others = [one for one in self._declared.values() if one.type != cloud.machine_type]
        machines = [one for one in self._declared.values() if one.type == cloud.machine_type]
        affected = [resource] if resource.type == cloud.machine_type else machines
        return excess.find(cloud.machines([*others, *affected]), self._configuration)


def protect(configuration: WorkspaceConfiguration) -> None:
    """From now on, end the program if it declares a resource that breaks a rule."""
    guard = Guard(configuration)

    async def check(arguments: pulumi.ResourceTransformArgs) -> None:
        found = guard.check(await read(arguments))
        if found:
            end_at_once(f"{arguments.type_} {arguments.name!r} is refused: {' '.join(found)} {_HINT}")

    pulumi.runtime.register_resource_transform(check)
