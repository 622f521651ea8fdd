"""A workspace's network: inbound connections to the agents' port only, and no outbound connections."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from cloister.endpoint import PORT
from infra.backends.gcp import names
from infra.backends.gcp.enums import Direction, Gateway, LogMetadata, Protocol, RoutingMode, StackType
from infra.configuration import addresses, cloud
from infra.configuration.workspace import WorkspaceConfiguration

EVERYWHERE = "0.0.0.0/0"

# The smallest number wins: no rule that is added later can allow outbound connections.
_HIGHEST, _NORMAL, _LOWEST = 0, 1000, 65534


@dataclass(frozen=True)
class Network:
    """``subnetwork`` is that of the CVMs. ``prerequisites`` (rules and routes) must exist before the first CVM."""

    subnetwork: pulumi.Output[str]
    prerequisites: tuple[pulumi.Resource, ...]


def declare(
    configuration: WorkspaceConfiguration,
    region: str,
    account: gcp.serviceaccount.Account,
    options: pulumi.ResourceOptions,
) -> Network:
    """The network, its only subnet and its rules. Rules know the agents by their service account.

    No rule can block the metadata server (Google Cloud, "VPC firewall rules": that traffic is always allowed); the
    guest blocks it for the sandbox. Answers to accepted connections are allowed, since rules are stateful.
    """
    prefix = names.prefix(configuration.name)
    network = gcp.compute.Network(
        prefix,
        auto_create_subnetworks=False,
        delete_default_routes_on_create=True,
        routing_mode=RoutingMode.REGIONAL,
        opts=options,
    )
    subnetwork = gcp.compute.Subnetwork(
        prefix,
        network=network.id,
        region=region,
        ip_cidr_range=addresses.NETWORK,
        # The guest uses the metadata server only, which needs no Private Google Access.
        private_ip_google_access=False,
        stack_type=StackType.IPV4_ONLY,
        opts=options,
    )
    deny_egress = gcp.compute.Firewall(
        names.prefix(configuration.name, "deny-egress"),
        network=network.id,
        direction=Direction.EGRESS,
        priority=_HIGHEST,
        denies=[gcp.compute.FirewallDenyArgs(protocol=Protocol.ALL)],
        destination_ranges=[EVERYWHERE],
        # Outbound attempts of a CVM are logged in full.
        log_config=gcp.compute.FirewallLogConfigArgs(metadata=LogMetadata.INCLUDE),
        opts=options,
    )
    deny_ingress = gcp.compute.Firewall(
        names.prefix(configuration.name, "deny-ingress"),
        network=network.id,
        direction=Direction.INGRESS,
        priority=_LOWEST,
        denies=[gcp.compute.FirewallDenyArgs(protocol=Protocol.ALL)],
        source_ranges=[EVERYWHERE],
        # Denied by default as well; declared for logging, without metadata because public addresses are scanned a lot.
        log_config=gcp.compute.FirewallLogConfigArgs(metadata=LogMetadata.EXCLUDE),
        opts=options,
    )
    allow_agent = gcp.compute.Firewall(
        names.prefix(configuration.name, "allow-agent"),
        network=network.id,
        direction=Direction.INGRESS,
        priority=_NORMAL,
        allows=[gcp.compute.FirewallAllowArgs(protocol=Protocol.TCP, ports=[str(PORT)])],
        source_ranges=list(configuration.ingress),
        target_service_accounts=[account.email],
        log_config=gcp.compute.FirewallLogConfigArgs(metadata=LogMetadata.INCLUDE),
        opts=options,
    )
    replies = _replies(configuration, network, options)
    return Network(subnetwork.id, (deny_egress, deny_ingress, allow_agent, *replies))


def _replies(
    configuration: WorkspaceConfiguration, network: gcp.compute.Network, options: pulumi.ResourceOptions
) -> list[gcp.compute.Route]:
    """One route for the answers to each network of ``ingress`` on the internet; there is no default route.

    Private networks do not come over the internet.
    """
    if configuration.endpoint != cloud.PUBLIC:
        return []
    return [
        gcp.compute.Route(
            names.prefix(configuration.name, "replies", source.replace(".", "-").replace("/", "-")),
            network=network.id,
            dest_range=source,
            next_hop_gateway=Gateway.INTERNET,
            opts=options,
        )
        for source in addresses.over_the_internet(configuration.ingress)
    ]
