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
        place = text.shown(place)
        reason = str(error.message).removeprefix(str(error.name)).strip()
        raise FormatError(f"{what}: {place} {reason}.") from error
