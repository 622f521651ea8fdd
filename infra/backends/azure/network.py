"""A network that lets the agent's port in and nothing out, twice over: by its rules and by its routes.

A network security group remembers connections: an answer to what was let in needs no rule of its own (Azure Virtual
Network, "Network security groups overview"). A route forgets: where no route leads, no answer goes either. So the
routes name exactly where answers may go. With public addresses these are the networks of ``ingress`` that come over the
internet; with private ones nothing beyond the network itself and what the platform team joins to it (peering, gateway),
whose routes are narrower than the one to nowhere.
"""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import network, resources

from cloister import endpoint as endpoints
from infra.configuration import addresses, cloud
from infra.configuration.workspace import CvmConfiguration, WorkspaceConfiguration

EVERYWHERE = "0.0.0.0/0"
_ANY = "*"
_LAST = 4096


class Network:
    """The workspace's own virtual network; ``interface`` gives each CVM its place in it."""

    def __init__(
        self,
        configuration: WorkspaceConfiguration,
        given: Mapping[str, str],
        group: resources.ResourceGroup,
        options: pulumi.ResourceOptions,
    ) -> None:
        self._given = given
        self._public = configuration.endpoint == cloud.PUBLIC
        self._group = group
        self._options = options
        whole = network.VirtualNetwork(
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
            security_rules=security_rules(configuration.ingress, list(given.values())),
            opts=options,
        )
        table = network.RouteTable(
            "routes",
            resource_group_name=group.name,
            location=group.location,
            # Behind a private endpoint the answers may have to go through a gateway that the platform team attached.
            disable_bgp_route_propagation=self._public,
            routes=routes(addresses.over_the_internet(configuration.ingress) if self._public else ()),
            opts=options,
        )
        self._subnet = network.Subnet(
            "cvms",
            resource_group_name=group.name,
            virtual_network_name=whole.name,
            address_prefix=addresses.NETWORK,
            default_outbound_access=False,
            network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
            route_table=network.RouteTableArgs(id=table.id),
            opts=options,
        )

    def interface(self, cvm: CvmConfiguration) -> tuple[network.NetworkInterface, pulumi.Output[str]]:
        """The interface of a CVM, and the address at which its agent is reached."""
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
            # "Azure confidential virtual machines FAQ": not to be had on any of them; nor has the guest its drivers.
            enable_accelerated_networking=False,
            enable_ip_forwarding=False,
            ip_configurations=[
                network.NetworkInterfaceIPConfigurationArgs(
                    name="agent",
                    subnet=network.SubnetArgs(id=self._subnet.id),
                    private_ip_address=self._given[cvm.name],
                    private_ip_allocation_method=network.IPAllocationMethod.STATIC,
                    public_ip_address=network.PublicIPAddressArgs(id=address.id) if address is not None else None,
                )
            ],
            opts=self._options,
        )
        if address is None:
            return interface, pulumi.Output.from_input(self._given[cvm.name])
        return interface, address.ip_address.apply(_known)


def _known(address: str | None) -> str:
    if not address:
        raise pulumi.RunError("Azure has given a public address that it does not name.")
    return address


def security_rules(ingress: Sequence[str], agents: Sequence[str]) -> list[network.SecurityRuleArgs]:
    """``agents`` are the CVMs' addresses: on the way in the rules see these, not the public ones.

    What Azure's own services on the host do (names, metadata, licences) no rule reaches unless it says their tag, and a
    name service is a way out: hence the tags. The metadata service stays open because the guest has its boot
    configuration and the certificates of its processor from there; the guest keeps it from the sandbox.
    """
    return [
        _rule(
            "agents",
            "Who may come to the agents.",
            100,
            network.SecurityRuleDirection.INBOUND,
            network.SecurityRuleAccess.ALLOW,
            protocol=network.SecurityRuleProtocol.TCP,
            sources=list(ingress),
            destinations=list(agents),
            port=str(endpoints.PORT),
        ),
        _rule(
            "nothing-else-in",
            "Also from the network itself and from load balancers.",
            _LAST,
            network.SecurityRuleDirection.INBOUND,
            network.SecurityRuleAccess.DENY,
        ),
        _rule(
            "metadata",
            "Boot configuration and certificates of the processor.",
            100,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.ALLOW,
            protocol=network.SecurityRuleProtocol.TCP,
            destinations="AzurePlatformIMDS",
            port="80",
        ),
        _rule(
            "no-names",
            "A name service carries data out.",
            110,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.DENY,
            destinations="AzurePlatformDNS",
        ),
        _rule(
            "no-licences",
            "Nothing here needs one.",
            120,
            network.SecurityRuleDirection.OUTBOUND,
            network.SecurityRuleAccess.DENY,
            destinations="AzurePlatformLKM",
        ),
        _rule(
            "nothing-out",
            "A CVM answers and never calls.",
            _LAST,
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
    """A rule with lists of networks (plural properties) or one tag or ``*`` (singular ones)."""
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
    """Everything leads nowhere, except what leads to the networks that are ``answered``.

    The longest prefix decides (Azure Virtual Network, "Virtual network traffic routing").
    """
    nowhere = [] if EVERYWHERE in answered else [_route("nowhere", EVERYWHERE, network.RouteNextHopType.NONE)]
    return nowhere + [
        _route(f"answers-{number}", prefix, network.RouteNextHopType.INTERNET) for number, prefix in enumerate(answered)
    ]


def _route(name: str, prefix: str, hop: network.RouteNextHopType) -> network.RouteArgs:
    return network.RouteArgs(name=name, address_prefix=prefix, next_hop_type=hop)
