"""What a cloud's network rules allow one machine, independent of the cloud."""

from dataclasses import dataclass

from infra.reach.address_set import EVERYWHERE, NOWHERE, AddressSet
from infra.reach.packet_filter import Traffic, allowed_traffic


@dataclass(frozen=True)
class MachineReach:
    """What one machine can receive and send."""

    name: str

    inbound: tuple[Traffic, ...]
    """Connections that its firewall rules accept, from any address."""

    outbound: tuple[Traffic, ...]
    """Connections that it can open: allowed by its firewall rules and routed somewhere."""

    routed: AddressSet
    """The addresses to which a route leads. Anyone else gets no answer, even if a rule accepts the connection."""

    addresses: AddressSet
    """Its own addresses (upper bound)."""

    network: AddressSet
    """The addresses of its network (lower bound): connections from these do not come from outside."""

    cloud_services: AddressSet
    """The cloud's own services that can connect without a route or a public address."""

    public: bool
    """Whether it has an internet address."""

    internet_access: bool
    """Whether connections that it opens can get to the internet."""

    platform_services: tuple[str, ...]
    """Services of the cloud's host that no address-based rule blocks."""


def unrestricted(name: str, platform_services: tuple[str, ...]) -> MachineReach:
    """A machine whose network rules cannot be read: it counts as having none."""
    everything = allowed_traffic((), default_allow=True)
    return MachineReach(
        name=name,
        inbound=everything,
        outbound=everything,
        routed=EVERYWHERE,
        addresses=EVERYWHERE,
        network=NOWHERE,
        cloud_services=NOWHERE,
        public=True,
        internet_access=True,
        platform_services=platform_services,
    )
