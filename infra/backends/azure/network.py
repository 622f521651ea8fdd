"""A network that accepts connections to the agents' port and blocks outbound ones, both by rules and by routes.

Network security groups are stateful: answers to accepted connections need no rule (Azure Virtual Network, "Network
security groups overview"). Routes are stateless: answers need a route. So there are routes exactly to where answers may
go. With public addresses these are the networks of ``ingress`` on the internet. With private addresses they are the
network itself and what the platform team joins to it (peering, gateway), whose more specific routes win over the one
that drops everything.
"""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import network, resources

from cloister.endpoint import PORT
from infra.configuration import addresses, cloud
from infra.configuration.workspace import CvmConfiguration, WorkspaceConfiguration

EVERYWHERE = "0.0.0.0/0"
_ANY = "*"
_LOWEST_PRIORITY = 4096


class Network:
    """The workspace's own virtual network; ``interface`` connects a CVM to it."""

    def __init__(
        self,
        configuration: WorkspaceConfiguration,
        private_addresses: Mapping[str, str],
        group: resources.ResourceGroup,
        options: pulumi.ResourceOptions,
    ) -> None:
        self._private_addresses = private_addresses
        self._public = configuration.endpoint == cloud.PUBLIC
        self._group = group
        self._options = options
        virtual_network = network.VirtualNetwork(
            "network",
            resource_group_name=group.name,
            location=group.location,
            address_space=network.AddressSpaceArgs(address_prefixes=[addresses.NETWORK]),
            opts=options,
        )
        rules = network.NetworkSecurityGroup(
            "rules",
            resource_group_name=group.name,
            location=group.location,
            security_rules=security_rules(configuration.ingress, list(private_addresses.values())),
            opts=options,
        )
        table = network.RouteTable(
            "routes",
            resource_group_name=group.name,
            location=group.location,
            # With a private endpoint, answers may have to go through a gateway of the platform team.
            disable_bgp_route_propagation=self._public,
            routes=routes(addresses.over_the_internet(configuration.ingress) if self._public else ()),
            opts=options,
        )
        self._subnet = network.Subnet(
            "cvms",
            resource_group_name=group.name,
            virtual_network_name=virtual_network.name,
            address_prefix=addresses.NETWORK,
            default_outbound_access=False,
            network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
            route_table=network.RouteTableArgs(id=table.id),
            opts=options,
        )

    def interface(self, cvm: CvmConfiguration) -> tuple[network.NetworkInterface, pulumi.Output[str]]:
        """The network interface of a CVM, and the address of its agent."""
        address = None
        if self._public:
            address = network.PublicIPAddress(
                cvm.name,
                resource_group_name=self._group.name,
                location=self._group.location,
                sku=network.PublicIPAddressSkuArgs(
                    name=network.PublicIPAddressSkuName.STANDARD, tier=network.PublicIPAddressSkuTier.REGIONAL
                ),
                public_ip_allocation_method=network.IPAllocationMethod.STATIC,
                public_ip_address_version=network.IPVersion.I_PV4,
                zones=[cvm.zone] if cvm.zone else None,
                opts=self._options,
            )
        interface = network.NetworkInterface(
            cvm.name,
            resource_group_name=self._group.name,
            location=self._group.location,
            # Confidential VMs do not support it ("Azure confidential virtual machines FAQ"); the guest has no driver.
            enable_accelerated_networking=False,
            enable_ip_forwarding=False,
            ip_configurations=[
                network.NetworkInterfaceIPConfigurationArgs(
                    name="agent",
                    subnet=network.SubnetArgs(id=self._subnet.id),
                    private_ip_address=self._private_addresses[cvm.name],
                    private_ip_allocation_method=network.IPAllocationMethod.STATIC,
                    public_ip_address=network.PublicIPAddressArgs(id=address.id) if address is not None else None,
                )
            ],
            opts=self._options,
        )
        if address is None:
            return interface, pulumi.Output.from_input(self._private_addresses[cvm.name])
        return interface, address.ip_address.apply(_known)


def _known(address: str | None) -> str:
    if not address:
        raise pulumi.RunError("Azure returned a public address resource without an address.")
    return address


def security_rules(ingress: Sequence[str], agents: Sequence[str]) -> list[network.SecurityRuleArgs]:
    """``agents`` are the CVMs' private addresses: inbound rules see these, not the public ones.

    Rules match Azure's services on the host (DNS, metadata, licences) only by their service tags, and DNS can carry
    data out; therefore the tags. The metadata service stays reachable because the guest gets its boot configuration and
    the certificates of its processor from it; the guest blocks it for the sandbox.
    """
    return [
        _rule(
            "agents",
            "Connections to the agents.",
            100,
            network.SecurityRuleDirection.INBOUND,
            network.SecurityRuleAccess.ALLOW,
            protocol=network.SecurityRuleProtocol.TCP,
            sources=list(ingress),
            destinations=list(agents),
            port=str(PORT),
        ),
        _rule(
            "nothing-else-in",
            "Includes traffic from the network itself and from load balancers.",
            _LOWEST_PRIORITY,
            network.SecurityRuleDirection.INBOUND,
            network.SecurityRuleAccess.DENY,
        ),
        _rule(
            "metadata",
            "Boot configuration and processor certificates.",
            100,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.ALLOW,
            protocol=network.SecurityRuleProtocol.TCP,
            destinations="AzurePlatformIMDS",
            port="80",
        ),
        _rule(
            "no-names",
            "DNS could carry data out.",
            110,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.DENY,
            destinations="AzurePlatformDNS",
        ),
        _rule(
            "no-licences",
            "CVMs need no licence.",
            120,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.DENY,
            destinations="AzurePlatformLKM",
        ),
        _rule(
            "nothing-out",
            "CVMs open no connections.",
            _LOWEST_PRIORITY,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.DENY,
        ),
    ]


def _rule(
    name: str,
    description: str,
    priority: int,
    direction: network.SecurityRuleDirection,
    access: network.SecurityRuleAccess,
    *,
    protocol: network.SecurityRuleProtocol = network.SecurityRuleProtocol.ASTERISK,
    sources: list[str] | str = _ANY,
    destinations: list[str] | str = _ANY,
    port: str = _ANY,
) -> network.SecurityRuleArgs:
    """A rule for lists of networks (plural properties), or for one tag or ``*`` (singular properties)."""
    return network.SecurityRuleArgs(
        name=name,
        description=description,
        priority=priority,
        direction=direction,
        access=access,
        protocol=protocol,
        source_port_range=_ANY,
        source_address_prefix=sources if isinstance(sources, str) else None,
        source_address_prefixes=None if isinstance(sources, str) else sources,
        destination_address_prefix=destinations if isinstance(destinations, str) else None,
        destination_address_prefixes=None if isinstance(destinations, str) else destinations,
        destination_port_range=port,
    )


def routes(answered: Sequence[str]) -> list[network.RouteArgs]:
    """Routes to the networks ``answered``; everything else is dropped.

    The longest prefix decides (Azure Virtual Network, "Virtual network traffic routing").
    """
    dropped = [] if EVERYWHERE in answered else [_route("nowhere", EVERYWHERE, network.RouteNextHopType.NONE)]
    return dropped + [
        _route(f"answers-{number}", prefix, network.RouteNextHopType.INTERNET) for number, prefix in enumerate(answered)
    ]


def _route(name: str, prefix: str, hop: network.RouteNextHopType) -> network.RouteArgs:
    return network.RouteArgs(name=name, address_prefix=prefix, next_hop_type=hop)
