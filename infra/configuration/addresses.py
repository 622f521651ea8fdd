"""Which address each CVM has in its workspace's own network: known before anything is made, and kept."""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence

from cloister.errors import InputError

NETWORK = "10.99.0.0/24"
"""Each workspace has a network of its own, joined to no other: that all of them use the same addresses is harmless."""

_PRIVATE = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

# Google keeps the first two and the last two addresses of a subnet for itself, Azure the first four and the last.
_FIRST, _COUNT = 10, 200


def assign(names: Sequence[str]) -> Mapping[str, str]:
    """Name of a CVM -> its IPv4 address in NETWORK. Raises InputError for more CVMs than there are addresses.

    The address follows from the name alone, so that a CVM that is added or taken away moves no other; only where two
    names fall on one address does the later in the configuration take the next that is free.
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
    """Those of the networks whose packets can come over the internet, and to which answers have to go there."""
    return tuple(
        text for text in ingress if not any(ipaddress.IPv4Network(text).subnet_of(private) for private in _PRIVATE)
    )
