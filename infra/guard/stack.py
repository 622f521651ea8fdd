"""The guard of a whole stack: it sees each resource before the engine does, and ends the program that declares a wrong
one, so that `pulumi preview` fails as well as `pulumi up`.
"""

from collections.abc import Mapping

import pulumi

from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard import azure, gcp, local
from infra.guard.rules import Rule
from infra.guard.transform import read
from infra.reach import azure as azure_reach
from infra.reach import gcp as gcp_reach
from infra.reach import reach
from infra.resources.program import end_at_once
from infra.resources.resource import Key, Resource

RULES: Mapping[str, tuple[Rule, ...]] = {"local": local.RULES, "azure": azure.RULES, "gcp": gcp.RULES}

_MACHINES = {"azure": azure_reach.MACHINE, "gcp": gcp_reach.MACHINE}
_REACHES = {"azure": azure_reach.machines, "gcp": gcp_reach.machines}


def violations(resource: Resource, configuration: WorkspaceConfiguration) -> list[str]:
    """Every rule that the resource breaks, as sentences."""
    return [sentence for rule in RULES[configuration.backend] if (sentence := rule(resource, configuration))]


class Guard:
    """Remembers what was declared. A machine is judged with the walls that stand when it is declared, so it must depend
    on them: none is ever up before its walls are.
    """

    def __init__(self, configuration: WorkspaceConfiguration) -> None:
        self._configuration = configuration
        self._declared: dict[Key, Resource] = {}

    def judge(self, resource: Resource) -> list[str]:
        """What is wrong with ``resource``, or with the machines once it is there, as sentences."""
        if resource.key in self._declared:
            return ["it is declared twice."]
        self._declared[resource.key] = resource
        return violations(resource, self._configuration) or self._opened(resource)

    def _opened(self, resource: Resource) -> list[str]:
        """What of the machines is open beyond the configuration. A new machine opens no other."""
        backend = self._configuration.backend
        if backend not in _MACHINES:
            return []
        machine = _MACHINES[backend]
        others = [one for one in self._declared.values() if one.type != machine]
        machines = [one for one in self._declared.values() if one.type == machine]
        asked = [resource] if resource.type == machine else machines
        return reach.excess(_REACHES[backend]([*others, *asked]), self._configuration)


def protect(configuration: WorkspaceConfiguration) -> None:
    """From now on the program cannot declare a resource that breaks a rule."""
    guard = Guard(configuration)

    async def check(arguments: pulumi.ResourceTransformArgs) -> None:
        found = guard.judge(await read(arguments))
        if found:
            end_at_once(f"{arguments.type_} {arguments.name!r} is refused: {' '.join(found)}")

    pulumi.runtime.register_resource_transform(check)
