"""A workspace's network: nothing gets in but to the agents' port, and nothing gets out but answers."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from cloister import endpoint
from infra.backends.gcp import names
from infra.backends.gcp.vocabulary import Direction, Gateway, LogMetadata, Protocol, RoutingMode, StackType
from infra.configuration import addresses, cloud
from infra.configuration.workspace import WorkspaceConfiguration

EVERYWHERE = "0.0.0.0/0"

# The smallest number wins: no rule that anybody adds can open the way out again.
_FIRST, _USUAL, _LAST = 0, 1000, 65534


@dataclass(frozen=True)
class Network:
    """``subnetwork`` is the CVMs'; ``guards`` must be there before the first of them is."""

    subnetwork: pulumi.Output[str]
    guards: tuple[pulumi.Resource, ...]


def declare(
    configuration: WorkspaceConfiguration,
    region: str,
    account: gcp.serviceaccount.Account,
    options: pulumi.ResourceOptions,
) -> Network:
    """The network, its only subnet and its rules; the agents are known by their service account.

    No rule closes the way to the metadata server (Google Cloud, "VPC firewall rules": that traffic is always allowed),
    which the guest keeps from the sandbox. Answers to what was let in are let out (firewall rules are stateful).
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
        # The guest speaks to the metadata server only, and that needs no way to Google's other services.
        private_ip_google_access=False,
        stack_type=StackType.IPV4_ONLY,
        opts=options,
    )
    deny_egress = gcp.compute.Firewall(
        names.prefix(configuration.name, "deny-egress"),
        network=network.id,
        direction=Direction.EGRESS,
        priority=_FIRST,
        denies=[gcp.compute.FirewallDenyArgs(protocol=Protocol.ALL)],
        destination_ranges=[EVERYWHERE],
        # A CVM that tries to get out is worth knowing all about.
        log_config=gcp.compute.FirewallLogConfigArgs(metadata=LogMetadata.INCLUDE),
        opts=options,
    )
    deny_ingress = gcp.compute.Firewall(
        names.prefix(configuration.name, "deny-ingress"),
        network=network.id,
        direction=Direction.INGRESS,
        priority=_LAST,
        denies=[gcp.compute.FirewallDenyArgs(protocol=Protocol.ALL)],
        source_ranges=[EVERYWHERE],
        # What is implied anyway, said so that it is logged; scans of a public address are many, hence in short.
        log_config=gcp.compute.FirewallLogConfigArgs(metadata=LogMetadata.EXCLUDE),
        opts=options,
    )
    allow_agent = gcp.compute.Firewall(
        names.prefix(configuration.name, "allow-agent"),
        network=network.id,
        direction=Direction.INGRESS,
        priority=_USUAL,
        allows=[gcp.compute.FirewallAllowArgs(protocol=Protocol.TCP, ports=[str(endpoint.PORT)])],
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
    """Without a route the answers of a public CVM would be dropped: one to each network that may come, and no default
    route, unless everybody may come. Private networks do not come over the internet.
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
