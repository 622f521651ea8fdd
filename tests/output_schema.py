"""Validates what verbs print with --json against the published schemas (docs/schemas/output)."""

import functools
import json
import os.path
from collections.abc import Callable
from typing import Any

import fastjsonschema

from cloister.protocol import schema

_LINES = {"events", "run", "watch"}
"""Verbs that print a line for each object."""


def names() -> set[str]:
    """The verbs that have a schema; those of the checkout begin with ``invoke.``."""
    return {path.name.removesuffix(".schema.json") for path in _folder().iterdir()}


def validate(verb: str, printed: str) -> None:
    """Raise JsonSchemaException unless everything that ``verb`` printed is as its schema says."""
    lines = [json.loads(line) for line in printed.splitlines()] if verb in _LINES and _is_lines(printed) else None
    for value in lines if lines is not None else [json.loads(printed)]:
        _validator(verb)(value)


def _is_lines(printed: str) -> bool:
    return not printed.startswith("{\n")  # `run --detach` prints one object


def _folder() -> Any:
    from tools.stubs import ROOT

    return ROOT / "docs" / "schemas" / "output"


@functools.cache
def _validator(verb: str) -> Callable[[Any], Any]:
    definitions: dict[str, Any] = {}
    whole = _inlined(f"output/{verb}", schema.load(f"output/{verb}"), definitions)
    whole = {**whole, "$defs": definitions, "$schema": "http://json-schema.org/draft-07/schema#"}
    made: Callable[[Any], Any] = fastjsonschema.compile(whole, use_default=False)
    return made


def _inlined(name: str, value: Any, definitions: dict[str, Any]) -> Any:
    """A schema in which what others define, relative to its own address, is in ``definitions``."""
    if isinstance(value, list):
        return [_inlined(name, item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(reference := value.get("$ref"), str):
        file, _, place = reference.partition("#")
        other = (
            os.path.normpath(os.path.join(os.path.dirname(name), file)).removesuffix(".schema.json") if file else name
        )
        key = f"{other}{place}".replace("/", "_")
        if key not in definitions:
            definitions[key] = {}
            found = schema.load(other)
            for part in filter(None, place.split("/")):
                found = found[part]
            definitions[key] = _inlined(other, found, definitions)
        return {"$ref": f"#/$defs/{key}"}
    return {
        member: _inlined(name, part, definitions)
        for member, part in value.items()
        if member not in ("$defs", "$schema")
    }
