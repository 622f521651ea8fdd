"""What a workspace's network allows beyond its configuration."""

from collections.abc import Iterable

from cloister import endpoint
from infra.configuration import cloud
from infra.configuration.workspace import WorkspaceConfiguration
from infra.reach.address_set import AddressSet
from infra.reach.clouds import CLOUDS
from infra.reach.graph import format_networks
from infra.reach.machine import MachineReach
from infra.reach.packet_filter import TCP, summarize


def find(machines: Iterable[MachineReach], configuration: WorkspaceConfiguration) -> list[str]:
    """Traffic that the rules allow and the configuration does not, as sentences; whether anyone uses it is irrelevant.

    The configuration allows: connections to the agent's port from ``ingress``. No connection from a CVM.
    """
    ingress = AddressSet.of(configuration.ingress)
    found = []
    for machine in machines:
        for traffic in summarize(machine.inbound):
            to_agent = traffic.protocol == TCP and traffic.ports == (endpoint.PORT, endpoint.PORT)
            beyond = traffic.restricted_to(~ingress) if to_agent else traffic
            if beyond.addresses:
                sources = format_networks("from", beyond.addresses.display())
                found.append(
                    f"{machine.name} accepts {beyond.service()}{sources}, which workspace.ingress does not allow."
                )
        for traffic in summarize(machine.outbound):
            targets = format_networks("to", traffic.addresses.display())
            found.append(
                f"{machine.name} can connect over {traffic.service()}{targets}; a CVM must open no connection."
            )
        always = CLOUDS[configuration.backend].always_reachable
        blockable = [one for one in machine.platform_services if one not in always]
        if blockable:
            found.append(f"{machine.name} can reach the host's services {', '.join(blockable)}; they must be blocked.")
        if machine.public and configuration.endpoint != cloud.PUBLIC:
            found.append(f"{machine.name} has a public address, but workspace.endpoint is {cloud.PRIVATE}.")
    return found
