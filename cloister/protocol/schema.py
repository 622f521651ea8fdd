"""JSON Schemas of Cloister's documents, and the check of a value against one of them.

The schemas are JSON Schema 2020-12, restricted to keywords that mean the same in draft 7, which is what the
validator (fastjsonschema) speaks.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Callable
from typing import Any

import fastjsonschema

from cloister.protocol import text
from cloister.protocol.canonical import FormatError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHOWN = 64


@functools.cache
def load(name: str) -> dict[str, Any]:
    """The schema ``name`` (``manifest``, ``policy``, ...) as published under docs/schemas."""
    content = importlib.resources.files("cloister.protocol").joinpath("schemas", f"{name}.schema.json").read_bytes()
    return dict(json.loads(content))


@functools.cache
def _validator(name: str) -> Callable[[Any], Any]:
    schema = {**_anchored(load(name)), "$schema": "http://json-schema.org/draft-07/schema#"}
    compiled: Callable[[Any], Any] = fastjsonschema.compile(schema, use_default=False, detailed_exceptions=True)
    return compiled


def _anchored(schema: Any) -> Any:
    """``schema`` with patterns of member names that end where the name ends, as JSON Schema's ``$`` means it.

    Python's ``$`` also stands before a last newline. The validator knows that for ``pattern`` alone.
    """
    if isinstance(schema, list):
        return [_anchored(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    anchored = {name: _anchored(value) for name, value in schema.items()}
    if "patternProperties" in anchored:
        patterns = anchored["patternProperties"].items()
        anchored["patternProperties"] = {re.sub(r"\$\Z", r"\\Z", pattern): value for pattern, value in patterns}
    return anchored


def validate(name: str, value: Any, *, what: str) -> None:
    """Check ``value`` against the schema ``name``; ``what`` names the document in the FormatError."""
    try:
        _validator(name)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        place = ".".join(str(part) for part in error.path[1:]) or "the document"
        # Names of members may be the sender's own: none of them may speak to the reader's terminal.
        raise FormatError(text.shown(f"{what}: {place} {_reason(error)}.")) from error


def unknown_member(error: fastjsonschema.JsonSchemaValueException) -> str | None:
    """The first member that the schema does not know, when that is what ``error`` is about."""
    if error.rule != "additionalProperties":
        return None
    known, patterns = error.definition.get("properties", {}), error.definition.get("patternProperties", {})
    names = (name for name in error.value if name not in known and not any(re.search(p, name) for p in patterns))
    return next(names, None)


_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "object": "an object",
    "string": "text",
}


def _reason(error: fastjsonschema.JsonSchemaValueException) -> str:
    """What is wrong, behind the place; the rest of the rules is told in the validator's own words."""
    wanted = error.rule_definition
    match error.rule:
        case "additionalProperties" if (name := unknown_member(error)) is not None:
            return f"has the member '{name[:_SHOWN]}', which it cannot have"
        case "required":
            return "lacks " + ", ".join(name for name in wanted if name not in error.value)
        case "const":
            return f"must be {json.dumps(wanted)}"
        case "enum":
            return "must be one of " + ", ".join(map(str, wanted))
        case "type" if isinstance(wanted, str):
            return f"must be {_TYPES.get(wanted, wanted)}"
        case "pattern":
            return f"must have the form {wanted}"
    return str(error.message).removeprefix(str(error.name)).strip()
