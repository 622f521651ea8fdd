"""Who can reach whom in a workspace, as sentences and as data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from infra.reach.address_set import INTERNET
from infra.reach.clouds import CLOUDS
from infra.reach.machine import MachineReach
from infra.reach.packet_filter import Traffic, restrict, summarize
from infra.resources.resource import Resource
from infra.resources.types import LOCAL_CVM

THE_INTERNET, JOINED, PLATFORM, SERVICES = "the internet", "a joined network", "the platform", "the cloud's services"
THIS_MACHINE, OTHERS, NOTHING = "this machine", "other workspaces", "nothing"

_MOST_NETWORKS = 8


@dataclass(frozen=True)
class Edge:
    """One possible connection.

    ``source`` and ``target`` are names of CVMs or one of the constants above; ``service`` is like ``tcp/6110``.
    ``addresses`` are the networks of the end that is not a CVM, or the services of the platform; () where they do not
    matter.
    """

    source: str
    target: str
    service: str
    addresses: tuple[str, ...] = ()

    def sentence(self) -> str:
        if self.target == PLATFORM:
            return f"{self.source} -> {self.target}: {', '.join(self.addresses)}"
        port = f":{self.service.removeprefix('tcp/')}" if self.service.startswith("tcp/") else f" over {self.service}"
        return f"{self.source} -> {self.target}{port}{format_networks(self.preposition, self.addresses)}"

    @property
    def preposition(self) -> str:
        """Whether ``addresses`` are where the connection comes from or where it goes to."""
        return "from" if self.source in (THE_INTERNET, JOINED, SERVICES) else "to"


def format_networks(preposition: str, networks: Sequence[str]) -> str:
    """The first few of ``networks``, for a person; empty if there are no networks."""
    more = len(networks) - _MOST_NETWORKS
    shown = ", ".join(networks[:_MOST_NETWORKS])
    return f" {preposition} {shown}{f' and {more} more' if more > 0 else ''}" if networks else ""


@dataclass(frozen=True)
class ReachGraph:
    """``cvms`` are the names of the machines, ``edges`` all possible connections, ``links`` the peered networks."""

    cvms: tuple[str, ...]
    edges: tuple[Edge, ...]
    links: tuple[str, ...]

    def sentences(self) -> list[str]:
        """One for each edge, and one for each machine and outside network that reaches nothing."""
        lines = [edge.sentence() + self._note(edge) for edge in self.edges]
        sources = {edge.source for edge in self.edges if edge.target != PLATFORM}
        lines += [f"{name} -> {NOTHING}{self._else(name)}" for name in self.cvms if name not in sources]
        lines += [f"{name} -> {NOTHING}" for name in self.outside if name not in sources]
        return lines

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"cvms": list(self.cvms), "links": list(self.links), "edges": [asdict(edge) for edge in self.edges]}

    def _note(self, edge: Edge) -> str:
        return " (none joined)" if edge.source == JOINED and not self.links else ""

    @property
    def outside(self) -> tuple[str, ...]:
        """Who outside of the workspace a reader asks about."""
        return (THE_INTERNET,) if self.links else (THE_INTERNET, OTHERS)

    def _else(self, name: str) -> str:
        return " else" if any(edge.source == name for edge in self.edges) else ""


def build(backend: str, resources: Sequence[Resource]) -> ReachGraph:
    """The graph of a workspace; ``resources`` are all that it declares."""
    if backend not in CLOUDS:
        return _local(resources)
    cloud = CLOUDS[backend]
    links = tuple(one.name for one in resources if one.type == cloud.peering_type)
    return from_machines(cloud.machines(resources), links)


def from_machines(machines: Sequence[MachineReach], links: tuple[str, ...]) -> ReachGraph:
    """The graph of the ``machines`` of one network, with which the networks ``links`` are peered."""
    machines = sorted(machines, key=lambda machine: machine.name)
    edges: list[Edge] = []
    for machine in machines:
        edges += _incoming(machine, linked=bool(links))
    for machine in machines:
        edges += [
            Edge(machine.name, other.name, traffic.service())
            for other in machines
            if other != machine
            for traffic in summarize(_between(machine, other))
        ]
        edges += _outgoing(machine, linked=bool(links))
    for machine in machines:
        edges += [Edge(machine.name, PLATFORM, "", machine.platform_services)] if machine.platform_services else []
    return ReachGraph(tuple(machine.name for machine in machines), tuple(edges), links)


def _incoming(machine: MachineReach, *, linked: bool) -> list[Edge]:
    """Connections from outside the network. Those from the internet also need a route for the answers."""
    found = []
    for traffic in summarize(restrict(machine.inbound, machine.cloud_services)):
        found.append(Edge(SERVICES, machine.name, traffic.service(), traffic.addresses.display()))
    if machine.public:
        for traffic in summarize(restrict(machine.inbound, (INTERNET & machine.routed) - machine.network)):
            found.append(Edge(THE_INTERNET, machine.name, traffic.service(), traffic.addresses.display()))
    if linked or not machine.public:
        for traffic in summarize(restrict(machine.inbound, ~machine.network - machine.cloud_services)):
            found.append(Edge(JOINED, machine.name, traffic.service(), traffic.addresses.display()))
    return found


def _outgoing(machine: MachineReach, *, linked: bool) -> list[Edge]:
    outside = restrict(machine.outbound, ~machine.network)
    found = []
    if machine.internet_access:
        found += [
            Edge(machine.name, THE_INTERNET, one.service(), one.addresses.display())
            for one in summarize(restrict(outside, INTERNET))
        ]
    if linked:
        found += [Edge(machine.name, JOINED, one.service(), one.addresses.display()) for one in summarize(outside)]
    return found


def _between(machine: MachineReach, other: MachineReach) -> list[Traffic]:
    """Traffic that ``machine`` can send and ``other`` accepts."""
    found = []
    for sent in restrict(machine.outbound, other.addresses):
        for accepted in restrict(other.inbound, machine.addresses):
            first, last = max(sent.ports[0], accepted.ports[0]), min(sent.ports[1], accepted.ports[1])
            if sent.protocol == accepted.protocol and first <= last:
                found.append(Traffic(sent.protocol, (first, last), accepted.addresses))
    return found


def _local(resources: Sequence[Resource]) -> ReachGraph:
    """QEMU's user-mode network forwards one port of this machine and blocks outgoing traffic (``restrict=on``)."""
    machines = sorted((one for one in resources if one.type == LOCAL_CVM), key=lambda one: one.name)
    edges = tuple(Edge(THIS_MACHINE, one.name, _local_service(one)) for one in machines)
    return ReachGraph(tuple(one.name for one in machines), edges, ())


def _local_service(machine: Resource) -> str:
    port = machine.at("port")
    return f"tcp/{int(port)}" if isinstance(port, int | float) else "its port"
