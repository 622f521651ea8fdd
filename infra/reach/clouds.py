"""The clouds whose network rules Cloister can evaluate, by the name of their backend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra.reach import azure, gcp
from infra.reach.machine import MachineReach
from infra.resources.resource import Resource


@dataclass(frozen=True)
class CloudNetwork:
    """``machine_type`` and ``peering_type`` are Pulumi's types of a VM and of a peering between networks.

    ``machines`` evaluates declared resources; ``always_reachable`` are the host's services that every VM can reach.
    """

    machine_type: str
    peering_type: str
    machines: Callable[[Sequence[Resource]], tuple[MachineReach, ...]]
    always_reachable: tuple[str, ...]


CLOUDS: Mapping[str, CloudNetwork] = {
    "azure": CloudNetwork(azure.MACHINE, azure.PEERING, azure.machines, azure.ALWAYS_REACHABLE),
    "gcp": CloudNetwork(gcp.MACHINE, gcp.PEERING, gcp.machines, gcp.ALWAYS_REACHABLE),
}
