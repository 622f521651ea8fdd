"""What the clouds are documented to refuse because of other resources: applies every such rule to one resource."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.infra.clouds import azure, gcp
from tests.infra.clouds.relation import RELATIONS, PendingResource, plain
from tests.infra.clouds.world import World


def of(world: World, identity: str, token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Why the cloud refuses a resource because of the others."""
    resource = world.find(identity)
    pending = PendingResource(world, identity, token, inputs, None if resource is None else resource.inputs)
    return [one.sentence for one in RELATIONS if (not one.types or token in one.types) and one.refuses(pending)]


def of_missing(identity: str, inputs: Mapping[str, Any], world: World) -> list[str]:
    """The resources that ``inputs`` refer to, or that contain the resource, and that do not exist."""
    named = {one for one in (plain(text) for text in _texts(inputs)) if one and world.find(one) is None}
    parent = _parent(identity)
    if parent and world.find(parent) is None:
        named.add(parent)
    return [f"{one} was not found." for one in sorted(named)]


def of_deleting(world: World, identity: str) -> list[str]:
    """Why the cloud refuses to delete the resource (Azure: InUse..., Google: resourceInUseByAnotherResource)."""
    resource = world.find(identity)
    if resource is None:
        return []
    if resource.inputs.get("deletionProtection") is True:
        return [f"{identity} has deletionProtection."]
    if resource.inputs.get("deletionPolicy") == "PREVENT":
        return [f"{identity} has the deletionPolicy PREVENT."]
    if resource.type not in (*azure.IN_USE, *gcp.IN_USE):
        return []
    names = {identity.lower(), str(resource.computed.get("address", identity)).lower()}
    users = [
        other
        for other, user in world.resources.items()
        if not other.lower().startswith(f"{identity.lower()}/")
        and any((plain(text) or text).lower() in names for text in _texts(user.inputs))
    ]
    return [f"{identity} is in use by {', '.join(sorted(users))}."] if users else []


def _parent(identity: str) -> str | None:
    """The id of the resource that contains this one, for ids of Azure."""
    if not identity.startswith("/subscriptions/"):
        return None
    head, _, tail = identity.rpartition("/providers/")
    if not head:
        return None
    steps = tail.split("/")
    if len(steps) <= 3:
        return head if "/resourceGroups/" in head else None
    # A container is in the account's blobServices/default, which is not a separate resource.
    inner = [step for step in steps[:-2] if step not in ("blobServices", "default")]
    return f"{head}/providers/{'/'.join(inner)}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(name)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
