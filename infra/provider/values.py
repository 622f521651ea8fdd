"""Conversion between the ``Struct`` in which the engine sends properties and plain Python values.

In a ``Struct`` every number is a float.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct


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
