"""The guard of a workspace checks each resource of its stack before the engine sees it, and ends what breaks a rule.

So `pulumi preview` fails as well as `pulumi up`. It is a transform of the stack, which the engine applies after those
of the resource and of its parents: it sees what another program's transforms made of a resource.
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

import pulumi

from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard import azure, bystanders, gcp, local
from infra.guard.rules import Rule
from infra.guard.transform import read
from infra.reach import excess
from infra.reach.clouds import CLOUDS
from infra.resources.resource import Key, Resource
from infra.resources.types import WORKSPACE

RULES: Mapping[str, tuple[Rule, ...]] = {"local": local.RULES, "azure": azure.RULES, "gcp": gcp.RULES}

_HINT = "Change what declares it: the workspace's configuration or the program."

Refuse = Callable[[str], NoReturn]
"""Ends the program with a sentence."""


def violations(resource: Resource, configuration: WorkspaceConfiguration) -> list[str]:
    """Why the resource breaks the rules, one sentence for each rule."""
    return [sentence for rule in RULES[configuration.backend] if (sentence := rule(resource, configuration))]


class Guard:
    """Checks the resources of one stack in the order in which they are declared.

    A machine is checked against the network rules declared so far. It must therefore depend on them, and so is never up
    before they are.

    With ``alone``, every resource of the stack belongs to the workspace. Otherwise those that are not children of the
    workspace belong to the rest of a program, which must not touch the workspace.
    """

    def __init__(self, configuration: WorkspaceConfiguration, *, alone: bool = True) -> None:
        self._configuration = configuration
        self._alone = alone
        self._declared: dict[Key, Resource] = {}

    def check(self, resource: Resource) -> list[str]:
        """What is wrong with ``resource``, or with the machines because of it, as sentences."""
        if not self._alone and not self._belongs(resource):
            return bystanders.violations(resource, self._configuration)
        if resource.key in self._declared:
            return ["it is already declared."]
        self._declared[resource.key] = resource
        return violations(resource, self._configuration) or self._excess(resource)

    def _belongs(self, resource: Resource) -> bool:
        own = (WORKSPACE, self._configuration.name)
        return own in (resource.key, resource.parent)

    def _excess(self, resource: Resource) -> list[str]:
        """What the network allows beyond the configuration. A new machine changes nothing for the others."""
        cloud = CLOUDS.get(self._configuration.backend)
        if cloud is None:
            return []
        others = [one for one in self._declared.values() if one.type != cloud.machine_type]
        machines = [one for one in self._declared.values() if one.type == cloud.machine_type]
        affected = [resource] if resource.type == cloud.machine_type else machines
        return excess.find(cloud.machines([*others, *affected]), self._configuration)


def protect(configuration: WorkspaceConfiguration, refuse: Refuse, *, alone: bool) -> None:
    """From now on, call ``refuse`` for each resource that breaks a rule. ``alone`` is as for ``Guard``."""
    guard = Guard(configuration, alone=alone)

    async def check(arguments: pulumi.ResourceTransformArgs) -> None:
        found = guard.check(await read(arguments))
        if found:
            refuse(f"{arguments.type_} {arguments.name!r} is refused: {' '.join(found)} {_HINT}")

    pulumi.runtime.register_resource_transform(check)
