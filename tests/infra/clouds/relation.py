"""Refusals that depend on other resources."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.infra.clouds.refusals import values
from tests.infra.clouds.world import CloudResource, World

RELATIONS: list["Relation"] = []

_AZURE_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/.+", re.IGNORECASE)
_GCP_ID = re.compile(
    r"(?:https://www\.googleapis\.com/compute/v1/)?(projects/[^/]+/(?:global|regions|zones|locations)/.+)"
)
_GCP_BUILT_IN = re.compile(r"projects/[^/]+/(zones|regions)/[^/]+/(machineTypes|diskTypes|acceleratorTypes)/.+")


@dataclass(frozen=True)
class PendingResource:
    """A resource that is about to be created or updated. ``old`` are its current inputs, None for a new resource."""

    world: World
    identity: str
    type: str
    inputs: Mapping[str, Any]
    old: Mapping[str, Any] | None

    def others(self, *types: str) -> dict[str, CloudResource]:
        found = self.world.of(*types)
        return {identity: resource for identity, resource in found.items() if identity.lower() != self.identity.lower()}

    def at(self, path: str) -> list[Any]:
        return [value for value in values(self.inputs, path) if value is not None]


@dataclass(frozen=True)
class Relation:
    """``refuses`` tells whether the cloud refuses a resource. ``types`` are those it applies to; () stands for all."""

    name: str
    types: tuple[str, ...]
    sentence: str
    source: str
    refuses: Callable[[PendingResource], bool]


def relation(
    *types: str, sentence: str, source: str
) -> Callable[[Callable[[PendingResource], bool]], Callable[[PendingResource], bool]]:
    def add(refuses: Callable[[PendingResource], bool]) -> Callable[[PendingResource], bool]:
        RELATIONS.append(Relation(refuses.__name__, types, sentence, source, refuses))
        return refuses

    return add


def usable(address: str, ranges: list[str], *, first: int, last: int) -> bool:
    for text in ranges:
        network = ipaddress.ip_network(text)
        number = int(ipaddress.ip_address(address)) - int(network.network_address)
        if first <= number < network.num_addresses - last:
            return True
    return False


def among(identity: Any, others: list[Any]) -> bool:
    return str(identity).lower() in [str(one).lower() for one in others]


def plain(text: str) -> str | None:
    """The id of the resource that ``text`` refers to; None for other texts and for resources that always exist."""
    if _AZURE_ID.fullmatch(text):
        return None if "/roleDefinitions/" in text else text
    found = _GCP_ID.fullmatch(text)
    return found[1] if found and not _GCP_BUILT_IN.fullmatch(found[1]) else None
