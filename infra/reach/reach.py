"""The picture of a workspace: who reaches whom, in sentences and as data, and what of it nobody has configured."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cloister import endpoint
from infra.configuration import cloud
from infra.configuration.workspace import WorkspaceConfiguration
from infra.reach import azure, gcp
from infra.reach.address_set import INTERNET, Space
from infra.reach.machine import Machine
from infra.reach.packet_filter import TCP, Opening, merged, narrowed
from infra.resources.resource import Resource
from infra.resources.types import LOCAL_CVM

THE_INTERNET, JOINED, PLATFORM, SERVICES = "the internet", "a joined network", "the platform", "the cloud's services"
THIS_MACHINE, OTHERS, NOTHING = "this machine", "other workspaces", "nothing"

_CLOUDS = {"azure": (azure.machines, azure.PEERING), "gcp": (gcp.machines, gcp.PEERING)}
_ALWAYS = {"azure": azure.ALWAYS, "gcp": gcp.ALWAYS}
_MOST_NETWORKS = 8


@dataclass(frozen=True)
class Edge:
    """``source`` and ``target`` are CVMs' names or one of the words above; ``service`` is like ``tcp/6110``.

    ``addresses`` are the networks of the end that is not a CVM, the services of the platform, or () where they do not
    matter.
    """

    source: str
    target: str
    service: str
    addresses: tuple[str, ...] = ()

    def sentence(self) -> str:
        if self.target == PLATFORM:
            return f"{self.source} -> {self.target}: {', '.join(self.addresses)}"
        port = f":{self.service.removeprefix('tcp/')}" if self.service.startswith("tcp/") else f" by {self.service}"
        where = "from" if self.source in (THE_INTERNET, JOINED, SERVICES) else "at"
        return f"{self.source} -> {self.target}{port}{some(where, self.addresses)}"


def some(where: str, networks: Sequence[str]) -> str:
    """``networks`` for a reader, the first of them at least."""
    more = len(networks) - _MOST_NETWORKS
    shown = ", ".join(networks[:_MOST_NETWORKS])
    return f" {where} {shown}{f' and {more} more' if more > 0 else ''}" if networks else ""


@dataclass(frozen=True)
class Reach:
    """``cvms`` are the names of the machines, ``edges`` all that is possible, ``links`` the networks joined to this
    one.
    """

    cvms: tuple[str, ...]
    edges: tuple[Edge, ...]
    links: tuple[str, ...]

    def sentences(self) -> list[str]:
        """One for each edge, and one for each machine and neighbour that reaches nothing."""
        lines = [edge.sentence() + self._note(edge) for edge in self.edges]
        callers = {edge.source for edge in self.edges if edge.target != PLATFORM}
        lines += [f"{name} -> {NOTHING}{self._but(name)}" for name in self.cvms if name not in callers]
        lines += [f"{name} -> {NOTHING}" for name in self._outsiders() if name not in callers]
        return lines

    def value(self) -> dict[str, Any]:
        """For programs."""
        return {"cvms": list(self.cvms), "links": list(self.links), "edges": [asdict(edge) for edge in self.edges]}

    def _note(self, edge: Edge) -> str:
        return " (none is joined)" if edge.source == JOINED and not self.links else ""

    def _outsiders(self) -> tuple[str, ...]:
        return (THE_INTERNET,) if self.links else (THE_INTERNET, OTHERS)

    def _but(self, name: str) -> str:
        return " else" if any(edge.source == name for edge in self.edges) else ""


def of(backend: str, resources: Sequence[Resource]) -> Reach:
    """Who can reach what, by ``resources``: all that are declared."""
    if backend not in _CLOUDS:
        return _local(resources)
    machines, peering = _CLOUDS[backend]
    links = tuple(one.name for one in resources if one.type == peering)
    return between(machines(resources), links)


def between(machines: Sequence[Machine], links: tuple[str, ...]) -> Reach:
    """The picture of these machines, one network's, to which ``links`` are joined."""
    machines = sorted(machines, key=lambda machine: machine.name)
    edges: list[Edge] = []
    for machine in machines:
        edges += _coming(machine, linked=bool(links))
    for machine in machines:
        edges += [
            Edge(machine.name, other.name, opening.service())
            for other in machines
            if other != machine
            for opening in merged(_met(machine, other))
        ]
        edges += _going(machine, linked=bool(links))
    for machine in machines:
        edges += [Edge(machine.name, PLATFORM, "", machine.platform)] if machine.platform else []
    return Reach(tuple(machine.name for machine in machines), tuple(edges), links)


def excess(machines: Iterable[Machine], configuration: WorkspaceConfiguration) -> list[str]:
    """What the walls permit beyond the configuration, as sentences; whether anybody is there to use it does not count.

    The configuration says: to the agent's port, from ``ingress``; out of a CVM, nothing.
    """
    wanted = Space.of(configuration.ingress)
    found = []
    for machine in machines:
        for opening in merged(machine.admits):
            agent = opening.protocol == TCP and opening.ports == (endpoint.PORT, endpoint.PORT)
            beyond = opening.narrowed(~wanted) if agent else opening
            if beyond.addresses:
                who = some("from", beyond.addresses.shown())
                found.append(f"{beyond.service()} reaches {machine.name}{who}, which workspace.ingress does not say.")
        for opening in merged(machine.calls):
            where = some("at", opening.addresses.shown())
            found.append(f"{machine.name} reaches others by {opening.service()}{where}, and a CVM calls nobody.")
        needless = [one for one in machine.platform if one not in _ALWAYS[configuration.backend]]
        if needless:
            found.append(f"{machine.name} reaches the platform's {' and '.join(needless)}, and a CVM calls nobody.")
        if machine.public and configuration.endpoint != cloud.PUBLIC:
            found.append(f"{machine.name} has a public address, and workspace.endpoint is {cloud.PRIVATE}.")
    return found


def _coming(machine: Machine, *, linked: bool) -> list[Edge]:
    """From outside. What came over the internet is answered only where a route leads back."""
    found = []
    for opening in merged(narrowed(machine.admits, machine.services)):
        found.append(Edge(SERVICES, machine.name, opening.service(), opening.addresses.shown()))
    if machine.public:
        for opening in merged(narrowed(machine.admits, (INTERNET & machine.answers) - machine.network)):
            found.append(Edge(THE_INTERNET, machine.name, opening.service(), opening.addresses.shown()))
    if linked or not machine.public:
        for opening in merged(narrowed(machine.admits, ~machine.network - machine.services)):
            found.append(Edge(JOINED, machine.name, opening.service(), opening.addresses.shown()))
    return found


def _going(machine: Machine, *, linked: bool) -> list[Edge]:
    outside = narrowed(machine.calls, ~machine.network)
    found = []
    if machine.leaves:
        found += [
            Edge(machine.name, THE_INTERNET, one.service(), one.addresses.shown())
            for one in merged(narrowed(outside, INTERNET))
        ]
    if linked:
        found += [Edge(machine.name, JOINED, one.service(), one.addresses.shown()) for one in merged(outside)]
    return found


def _met(machine: Machine, other: Machine) -> list[Opening]:
    """What ``machine`` begins and ``other`` lets in."""
    found = []
    for calls in narrowed(machine.calls, other.addresses):
        for admits in narrowed(other.admits, machine.addresses):
            first, last = max(calls.ports[0], admits.ports[0]), min(calls.ports[1], admits.ports[1])
            if calls.protocol == admits.protocol and first <= last:
                found.append(Opening(calls.protocol, (first, last), admits.addresses))
    return found


def _local(resources: Sequence[Resource]) -> Reach:
    """QEMU's user-mode network lets this machine's own port in and nothing out (``restrict=on``)."""
    machines = sorted((one for one in resources if one.type == LOCAL_CVM), key=lambda one: one.name)
    edges = tuple(Edge(THIS_MACHINE, one.name, _local_service(one)) for one in machines)
    return Reach(tuple(one.name for one in machines), edges, ())


def _local_service(machine: Resource) -> str:
    port = machine.at("port")
    return f"tcp/{int(port)}" if isinstance(port, int | float) else "its port"
