"""What the clouds are documented to refuse: the table in ``refusals.toml``, and what follows from what is there."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.infra.clouds.check import Failure
from tests.infra.clouds.world import World


def of(token: str, inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """What the cloud refuses about a resource by itself."""
    yield from ()


def in_world(world: World, identity: str, token: str, inputs: Mapping[str, Any], *, creating: bool) -> list[str]:
    """What the cloud refuses because of what is there already, or is not."""
    if creating and world.find(identity) is not None:
        return [f"{identity} exists already."]
    return []


def of_deleting(world: World, identity: str) -> list[str]:
    """Why the cloud does not delete what is in use."""
    return []
