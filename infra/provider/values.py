"""Property values as the engine sends them, and as the provider works with them.

On the wire they are a ``Struct``: every number is a float, and what is not known during a preview is a fixed text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a text, number or truth value that a preview cannot know (pulumi/sdk, resource/plugin/rpc.go)."""


@dataclass(frozen=True)
class Urn:
    """``kind`` is the resource's own type, the last of the chain that the URN holds."""

    stack: str
    kind: str
    name: str


def parse_urn(text: str) -> Urn:
    """``urn:pulumi:<stack>::<project>::<type>$...$<type>::<name>``; only the name may hold '::' itself."""
    stack, _, chain, name = text.removeprefix("urn:pulumi:").split("::", 3)
    return Urn(stack, chain.rpartition("$")[2], name)


def from_struct(struct: Struct) -> dict[str, Any]:
    """The properties, whole numbers as int."""
    return {name: _whole(value) for name, value in json_format.MessageToDict(struct).items()}


def to_struct(properties: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(properties)
    return struct


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
