"""A declared resource, in the form that the guard and the reachability analysis read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from infra.resources.placeholders import COMPUTED, is_placeholder
from infra.resources.urn import Key, key_of


class Unreadable(Enum):
    """Stands for a value that cannot be read: computed later, or secret. Code that meets it assumes the worst case."""

    UNKNOWN = "not known yet"


UNKNOWN: Final = Unreadable.UNKNOWN

# The suffix that Pulumi's providers add to a name to make it unique (Pulumi, "Resource names").
_ADDED = r"(-?[0-9a-f]{7,8})?"


@dataclass(frozen=True)
class Resource:
    """One resource of a Pulumi program, as declared."""

    type: str
    name: str
    """Its logical name, unique for its type in one program."""
    inputs: Mapping[str, Any]
    """Plain values by their wire names (camelCase); UNKNOWN where a value cannot be read."""
    dependencies: tuple[Key, ...] = ()
    """All resources whose outputs it uses, or which it waits for."""
    id: str = ""
    """The cloud's identifier; "" before the resource exists."""
    explicit_provider: bool = True
    """False when it would use Pulumi's default provider."""
    protected: bool = False
    """Protected from deletion, and retained when its stack is destroyed."""
    ignore_changes: tuple[str, ...] = ()
    """Paths of inputs whose changes the engine ignores."""
    before_delete: tuple[str, ...] = ()
    """Names of the hooks that run before it is deleted."""
    parent: Key | None = None
    """None: the stack itself."""

    @property
    def key(self) -> Key:
        return self.type, self.name

    def at(self, *path: str) -> Any:
        """The input at ``path``: None when it is not set, UNKNOWN when it cannot be read."""
        return within(self.inputs, *path)

    def entries(self, *path: str) -> Sequence[Any] | Unreadable:
        """The list at ``path``; empty when it is not set."""
        return listed(self.at(*path))


def within(value: Any, *path: str) -> Any:
    """The value at ``path`` below ``value``; results as for ``Resource.at``."""
    for name in path:
        if value is UNKNOWN:
            return UNKNOWN
        if value is None:
            return None
        value = value.get(name) if isinstance(value, Mapping) else UNKNOWN
    return value


def listed(value: Any) -> Sequence[Any] | Unreadable:
    """``value`` as a list: empty for None, UNKNOWN for anything else that is not a list."""
    if value is None:
        return ()
    return value if isinstance(value, list) else UNKNOWN


def from_state(resources: Iterable[Mapping[str, Any]]) -> tuple[Resource, ...]:
    """The resources of an exported state, or of the steps of a preview (``newState``)."""
    return tuple(
        Resource(
            type=one["type"],
            name=key_of(one["urn"])[1],
            inputs={name: _stored(value) for name, value in (one.get("inputs") or {}).items()},
            dependencies=tuple(key_of(urn) for urn in one.get("dependencies") or ()),
            id=str(one.get("id", "")).replace(COMPUTED, ""),
            explicit_provider=bool(one.get("provider")),
            protected=bool(one.get("protect") and one.get("retainOnDelete")),
        )
        for one in resources
        if not one.get("delete")
    )


def linked(resource: Resource, value: Any, type_: str, among: Iterable[Resource]) -> Resource | None:
    """The resource of type ``type_`` that ``value``, a reference in an input of ``resource``, refers to.

    A reference that is not known yet refers to the only resource of that type on which ``resource`` depends. None when
    no resource matches, or more than one.
    """
    known = [one for one in among if one.type == type_]
    if isinstance(value, str):
        found = [one for one in known if one.id and _means(value, one.id)]
        # A transform sees no identifiers. They end with the resource's name, possibly with a suffix.
        found = found or [one for one in known if one.key in resource.dependencies and _named(value, one)]
    else:
        found = [one for one in known if one.key in resource.dependencies]
    return found[0] if value is not None and len(found) == 1 else None


def _means(value: str, identifier: str) -> bool:
    # A reference may be a full URL, a path or only a name; Azure ignores case.
    long, short = sorted((f"/{value}".casefold(), f"/{identifier.lstrip('/')}".casefold()), key=len, reverse=True)
    return long.endswith(short)


def _named(identifier: str, resource: Resource) -> bool:
    last = identifier.rsplit("/", 1)[-1]
    return not resource.id and re.fullmatch(f"{re.escape(resource.name)}{_ADDED}", last) is not None


def _stored(value: Any) -> Any:
    if is_placeholder(value):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {name: _stored(one) for name, one in value.items()}
    return [_stored(one) for one in value] if isinstance(value, list) else value
