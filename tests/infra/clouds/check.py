"""Checks values against the SDK's classes and reports every difference with its path."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.resources.placeholders import COMPUTED
from tests.infra.clouds.schema import EnumType, ListType, MapType, ObjectType, PrimitiveType, Property, Type

_ASSET = "4dabf18193072939515e22adb298388d"
"""The key that marks an asset, an archive or a secret (pulumi/sdk, resource/plugin/rpc.go)."""

Failure = tuple[str, str]
"""A path and a message."""


def properties(allowed: Mapping[str, Property], values: Mapping[str, Any], place: str = "") -> Iterator[Failure]:
    """The failures of ``values`` as the properties of a resource, or of a nested object at ``place``."""
    for name, value in values.items():
        path = f"{place}.{name}" if place else name
        if name not in allowed:
            yield path, f"unknown property {name!r}; expected one of {', '.join(sorted(allowed))}."
        else:
            yield from _value(allowed[name].type, value, path)
    for name, one in allowed.items():
        if one.required and values.get(name) is None:
            yield place or name, f"the property {name!r} is missing."


def _value(kind: Type, value: Any, path: str) -> Iterator[Failure]:
    if value is None or value == COMPUTED:
        return
    if isinstance(kind, ListType):
        if not isinstance(value, list):
            yield path, f"{value!r} is not a list."
            return
        for index, item in enumerate(value):
            yield from _value(kind.item, item, f"{path}[{index}]")
    elif isinstance(kind, MapType):
        if not isinstance(value, dict):
            yield path, f"{value!r} is not a map."
            return
        for name, item in value.items():
            yield from _value(kind.item, item, f"{path}.{name}")
    elif isinstance(kind, ObjectType):
        if not isinstance(value, dict):
            yield path, f"{value!r} is not an object of {kind.name}."
            return
        yield from properties(kind.properties, value, path)
    elif isinstance(kind, EnumType):
        if value not in kind.values:
            yield path, f"{value!r} must be one of {', '.join(kind.values)}."
    elif not _is(kind, value):
        yield path, f"{value!r} is not of type {kind.kind}."


def _is(kind: PrimitiveType, value: Any) -> bool:
    if kind.kind == "string":
        return isinstance(value, str)
    if kind.kind == "boolean":
        return isinstance(value, bool)
    if kind.kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind.kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind.kind == "asset":
        return isinstance(value, dict) and _ASSET in value
    return kind.kind == "any"
