"""How the clouds form ids, which outputs they compute, and which changes replace a resource.

The SDK of Google Cloud documents the ids; the rest is in ``azure-native.toml`` and ``gcp.toml``.
"""

import hashlib
import re
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.infra.clouds import schema
from tests.infra.clouds.schema import ListType, MapType, ObjectType, SchemaError, Type

_IMPORT = re.compile(r"^\* `(\S*\{\{\S+)`$", re.MULTILINE)
_FIELD = re.compile(r"\{\{?([a-zA-Z_]+(?::[a-z0-9-]+)?)\}?\}")
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class CloudType:
    """What the stand-in knows about a type of resource."""

    token: str
    """Pulumi's name of the type."""

    identity: str
    """The template of the id."""

    computed: Mapping[str, Any]
    """Templates of outputs, by name."""

    replaces: tuple[str, ...]
    """Paths, without indices, whose change replaces the resource."""

    name: str
    """The input that names the resource."""

    automatic: bool
    """Whether the cloud's plugin generates a name if none is given."""

    remains: bool
    """Whether the cloud keeps a deleted resource."""


@cache
def cloud_type(token: str) -> CloudType:
    """The type ``token``. Raises SchemaError."""
    package = token.partition(":")[0]
    known = _table(package).get(token, {})
    written = _IMPORT.search(schema.resource(token).documentation)
    identity = known.get("id") or (written[1] if written else "")
    if not identity:
        raise SchemaError(f"The stand-in does not know the id of a {token}.")
    computed = {**_table(package).get("each", {}), **known.get("computed", {})}
    return CloudType(
        token,
        identity,
        computed,
        tuple(known.get("replaces", ())),
        known.get("name") or _camel((_FIELD.findall(identity) or [""])[-1]),
        known.get("automatic", True),
        known.get("remains", False),
    )


def identity(token: str, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The id of the resource with ``inputs``, in the subscription or project of ``settings``."""
    text = fill(cloud_type(token).identity, {**settings, **inputs}, seed="")
    return f"/{text.lstrip('/')}" if token.startswith("azure-native:") else text


def computed(token: str, identity: str, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The computed outputs: from the table, or else a placeholder of the right type."""
    known = cloud_type(token)
    values = {**settings, **inputs, "id": identity, "name": identity.rpartition("/")[2]}
    found: dict[str, Any] = {}
    for name, one in schema.resource(token).outputs.items():
        if name in inputs:
            continue
        if name in known.computed:
            found[name] = _filled(known.computed[name], values, f"{identity}/{name}")
        elif name in settings:
            found[name] = settings[name]
        elif one.required:
            value = _placeholder(one.type, f"{name} of {values['name']}")
            if value is not None:
                found[name] = value
    for name, template in known.computed.items():
        if name in inputs and not isinstance(template, str):
            found[name] = _filled(template, values, f"{identity}/{name}")
    return found


def unchangeable(token: str, path: str) -> bool:
    """Whether a change of the input at ``path`` replaces the resource."""
    known = cloud_type(token)
    plain = _INDEX.sub("", path)
    if any(plain == one or plain.startswith(f"{one}.") for one in (*known.replaces, known.name) if one):
        return True
    return token.startswith("azure-native:") and plain in [_camel(field) for field in _FIELD.findall(known.identity)]


def fill(template: str, values: Mapping[str, Any], seed: str) -> str:
    """``template`` with its fields filled: values by name, and ``uuid:x``, ``hex:x``, ``number:x`` and ``address:x``,
    which are derived from ``seed`` and x.
    """

    def field(match: re.Match[str]) -> str:
        how, _, label = match[1].partition(":")
        if not label:
            return str(values.get(_camel(how), values.get(how, "")))
        digest = hashlib.sha256(f"{seed.lower()}\0{label}".encode())
        if how == "uuid":
            return str(uuid.UUID(bytes=digest.digest()[:16], version=4))
        if how == "address":
            return f"203.0.113.{digest.digest()[0] % 254 + 1}"
        return digest.hexdigest()[:32] if how == "hex" else str(int(digest.hexdigest()[:14], 16))

    return _FIELD.sub(field, template)


def _filled(template: Any, values: Mapping[str, Any], seed: str) -> Any:
    if isinstance(template, str):
        return fill(template, values, seed)
    if isinstance(template, dict):
        return {fill(name, values, seed): _filled(item, values, seed) for name, item in template.items()}
    if isinstance(template, list):
        return [_filled(item, values, seed) for item in template]
    return template


def _placeholder(kind: Type, text: str) -> Any:
    if isinstance(kind, schema.EnumType):
        return kind.values[0]
    if isinstance(kind, ListType):
        return []
    if isinstance(kind, MapType):
        return {}
    if isinstance(kind, ObjectType):
        return None
    return {"string": text, "integer": 0, "number": 0, "boolean": False}.get(kind.kind)


@cache
def _table(package: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / f"{package}.toml").read_text())


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
