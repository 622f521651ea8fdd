"""Checks the inputs of the component, as the engine sends them, before the parser gets them."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from infra.configuration.validation import ConfigurationError
from infra.provider.values import from_struct
from infra.resources.placeholders import is_placeholder

_UNKNOWN = "is not known before the program has run. A workspace is declared with plain values."
_CONFIDENTIAL = "is a secret; a workspace has none: its descriptor and the tags of its machines show it."


def check(workspace: str, struct: Struct) -> None:
    """Raises ConfigurationError if a value in ``struct`` is unknown or secret."""
    problems = tuple(_unreadable(from_struct(struct), "workspace"))
    if problems:
        raise ConfigurationError("workspace", workspace, problems)


def _unreadable(value: Any, path: str) -> Iterator[str]:
    if is_placeholder(value):
        yield f"{path}: {_CONFIDENTIAL if isinstance(value, Mapping) else _UNKNOWN}"
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _unreadable(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unreadable(inner, f"{path}[{index}]")
