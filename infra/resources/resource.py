"""A resource as it is declared, for those who judge it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

Key: TypeAlias = tuple[str, str]
"""Type and logical name of a resource."""


class Unreadable(Enum):
    """Stands for what cannot be read: computed later, or secret. Whoever decides by it decides for the worse."""

    UNKNOWN = "not known yet"


UNKNOWN: Final = Unreadable.UNKNOWN

# What the engine writes in the place of a computed value and of a secret one (pulumi/pkg, resource/plugin/rpc.go and
# resource/stack/deployment.go).
_COMPUTED = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
# What the engine's and Azure's providers add to a name, so that it is nobody else's (Pulumi, "Resource names").
_ADDED = r"(-?[0-9a-f]{7,8})?"


@dataclass(frozen=True)
class Resource:
    """``inputs`` are named as on the wire (camelCase) and plain, UNKNOWN where they cannot be read. ``dependencies``
    are all resources of which it uses something, or waits for; ``identifier`` is the cloud's, "" where nobody knows it.
    ``provided`` says that it names its provider, ``protected`` that it is protected and kept when its stack goes.
    ``ignored`` are paths of inputs whose changes are not to be made. ``asked`` are the hooks that run before it is
    deleted.
    """

    kind: str
    name: str
    inputs: Mapping[str, Any]
    dependencies: tuple[Key, ...] = ()
    identifier: str = ""
    provided: bool = True
    protected: bool = False
    ignored: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.kind, self.name

    def at(self, *path: str) -> Any:
        """The input at ``path``: None when there is none, UNKNOWN when that cannot be told."""
        return within(self.inputs, *path)

    def entries(self, *path: str) -> Sequence[Any] | Unreadable:
        """The list at ``path``; none is an empty one."""
        return listed(self.at(*path))


def within(value: Any, *path: str) -> Any:
    """As ``Resource.at``, below ``value``."""
    for name in path:
        if value is UNKNOWN:
            return UNKNOWN
        if value is None:
            return None
        value = value.get(name) if isinstance(value, Mapping) else UNKNOWN
    return value


def listed(value: Any) -> Sequence[Any] | Unreadable:
    """``value`` as a list; UNKNOWN when it is none."""
    if value is None:
        return ()
    return value if isinstance(value, list) else UNKNOWN


def from_state(resources: Iterable[Mapping[str, Any]]) -> tuple[Resource, ...]:
    """The resources of an exported state, or of the steps of a preview (``newState``)."""
    return tuple(
        Resource(
            kind=one["type"],
            name=key_of(one["urn"])[1],
            inputs={name: _stored(value) for name, value in (one.get("inputs") or {}).items()},
            dependencies=tuple(key_of(urn) for urn in one.get("dependencies") or ()),
            identifier=str(one.get("id", "")).replace(_COMPUTED, ""),
            provided=bool(one.get("provider")),
            protected=bool(one.get("protect") and one.get("retainOnDelete")),
        )
        for one in resources
        if not one.get("delete")
    )


def linked(resource: Resource, value: Any, kind: str, among: Iterable[Resource]) -> Resource | None:
    """The resource of type ``kind`` that ``value``, a reference in an input of ``resource``, means.

    An identifier that is not known yet means the only resource of that type on which ``resource`` depends. None when
    there is none, or more than one comes into question: then what it means cannot be told.
    """
    known = [one for one in among if one.kind == kind]
    if isinstance(value, str):
        found = [one for one in known if one.identifier and _means(value, one.identifier)]
        # In a transform nobody knows identifiers; they end with the resource's name, to which a cloud may have added.
        found = found or [one for one in known if one.key in resource.dependencies and _named(value, one)]
    else:
        found = [one for one in known if one.key in resource.dependencies]
    return found[0] if value is not None and len(found) == 1 else None


def _means(value: str, identifier: str) -> bool:
    # A cloud may write the whole address of what is known by its path, or only the name; Azure does not mind case.
    long, short = sorted((f"/{value}".casefold(), f"/{identifier.lstrip('/')}".casefold()), key=len, reverse=True)
    return long.endswith(short)


def _named(identifier: str, resource: Resource) -> bool:
    last = identifier.rsplit("/", 1)[-1]
    return not resource.identifier and re.fullmatch(f"{re.escape(resource.name)}{_ADDED}", last) is not None


def _stored(value: Any) -> Any:
    if value == _COMPUTED or (isinstance(value, Mapping) and _SIGNATURE in value):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {name: _stored(one) for name, one in value.items()}
    return [_stored(one) for one in value] if isinstance(value, list) else value


def key_of(urn: str) -> Key:
    """From ``urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME``."""
    parts = urn.split("::", 3)
    return (parts[2].rsplit("$", 1)[-1], parts[3]) if len(parts) == 4 else ("", urn)
