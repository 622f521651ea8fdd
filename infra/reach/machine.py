"""What a cloud's rules mean for one machine, in words that do not depend on the cloud."""

from dataclasses import dataclass

from infra.reach.address_set import EVERYWHERE, NOWHERE, Space
from infra.reach.packet_filter import Opening, openings


@dataclass(frozen=True)
class Machine:
    """``admits`` is what its walls let in from any address, ``calls`` is what it can begin itself: let out by its walls
    and led somewhere by its routes. ``answers`` are the addresses to which a route leads, without which nothing that
    came in is answered. ``addresses`` are at most its own, ``network`` at least those of its network, from which nobody
    comes from outside; from ``services``, the cloud's own, come connections that need neither a route nor a public
    address.

    ``public`` says that it has an address in the internet, ``leaves`` that what it begins can get there.
    ``platform`` are services of the cloud's host that no rule over addresses stops.
    """

    name: str
    admits: tuple[Opening, ...]
    calls: tuple[Opening, ...]
    answers: Space
    addresses: Space
    network: Space
    services: Space
    public: bool
    leaves: bool
    platform: tuple[str, ...]


def open_to_all(name: str, platform: tuple[str, ...]) -> Machine:
    """A machine whose walls cannot be read: it counts as one that has none."""
    everything = openings((), otherwise=True)
    return Machine(
        name=name,
        admits=everything,
        calls=everything,
        answers=EVERYWHERE,
        addresses=EVERYWHERE,
        network=NOWHERE,
        services=NOWHERE,
        public=True,
        leaves=True,
        platform=platform,
    )
