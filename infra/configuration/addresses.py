"""The address of each CVM in its workspace's network: known before deployment, and stable."""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence

from cloister.errors import InputError

NETWORK = "10.99.0.0/24"
"""Each workspace has its own isolated network, so that all can use the same addresses."""

_PRIVATE = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

# Google reserves the first two and the last two addresses of a subnet, Azure the first four and the last.
_FIRST, _COUNT = 10, 200


def assign(names: Sequence[str]) -> Mapping[str, str]:
    """Name of a CVM -> its IPv4 address in NETWORK. Raises InputError for more CVMs than addresses.

    The address is a hash of the name, so that adding or removing a CVM moves no other. When two names collide, the
    later in the configuration gets the next free address.
    """
    if len(names) > _COUNT:
        raise InputError(f"A workspace has at most {_COUNT} CVMs, not {len(names)}.")
    base = ipaddress.IPv4Network(NETWORK).network_address + _FIRST
    taken: dict[int, str] = {}
    for name in names:
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % _COUNT
        while place in taken:
            place = (place + 1) % _COUNT
        taken[place] = name
    return {name: str(base + place) for place, name in taken.items()}


def over_the_internet(ingress: Sequence[str]) -> tuple[str, ...]:
    """The networks of ``ingress`` that are not private: their packets come over the internet, and answers go there."""
    return tuple(
        text for text in ingress if not any(ipaddress.IPv4Network(text).subnet_of(private) for private in _PRIVATE)
    )
