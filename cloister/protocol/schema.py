"""The JSON Schemas of Cloister's documents, and validation against them.

The schemas are JSON Schema 2020-12, restricted to keywords that mean the same in draft 7, which is what the
validator (fastjsonschema) speaks.
"""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema

from cloister.protocol import text
from cloister.protocol.canonical import FormatError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FOLDER = Path(__file__).parent / "schemas"
_SHOWN = 64


@functools.cache
def load(name: str) -> dict[str, Any]:
    """The schema ``name`` (``manifest``, ``policy``, ...) as published under docs/schemas."""
    return dict(json.loads((_FOLDER / f"{name}.schema.json").read_bytes()))


@functools.cache
def _validator(name: str) -> Callable[[Any], Any]:
    schema = {**_anchored(load(name)), "$schema": "http://json-schema.org/draft-07/schema#"}
    compiled: Callable[[Any], Any] = fastjsonschema.compile(schema, use_default=False, detailed_exceptions=True)
    return compiled


def _anchored(schema: Any) -> Any:
    """``schema`` with member-name patterns that match to the end of the name, like JSON Schema's ``$``.

    Python's ``$`` also matches before a final newline. The validator handles that for ``pattern`` only.
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
        # The sender may have chosen the names of members: they must not control the reader's terminal.
        raise FormatError(text.printable(f"{what}: {place} {_reason(error)}.")) from error


def unknown_member(error: fastjsonschema.JsonSchemaValueException) -> str | None:
    """The first member that the schema does not allow, if that is what ``error`` is about."""
    if error.rule != "additionalProperties":
        return None
    known, patterns = error.definition.get("properties", {}), error.definition.get("patternProperties", {})
    names = (name for name in error.value if name not in known and not any(re.search(p, name) for p in patterns))
    return next(names, None)


_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "object": "an object",
    "string": "text",
}


_NAME = "at most 63 lower-case letters, digits and '-', not starting or ending with '-'"
_FORMS = {
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": _NAME,
    r"^[A-Za-z_][A-Za-z0-9_]{0,127}$": "at most 128 letters, digits and '_', not starting with a digit",
    r"^[^/\u0000-\u001f\u007f-\u009f]+$": "a file name without a folder and without control characters",
    r"^[^\u0000-\u001f\u007f-\u009f]*$": "text without control characters",
    r"^[^\u0000-\u001f\u007f-\u009f]+$": "text without control characters",
    r"^[A-Za-z0-9.:\[\]-]{1,253}:[0-9]{1,5}$": "an address with a port, like 10.0.0.4:6110",
    r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$": "a day like 2026-01-31",
    r"^INTEL-SA-[0-9]{5}$": "an advisory like INTEL-SA-00614",
    r"^[ -~]{1,127}$": "1 to 127 printable ASCII characters",
    r"^([0-9a-f]{128}|[0-9a-f]{16})$": "16 or 128 lower-case hexadecimal digits",
    r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$": "a UUID like 11111111-2222-4333-8444-555555555555",
    r"^[a-z0-9][a-z0-9:.-]{0,126}$": "a project's id: at most 127 lower-case letters, digits and : . -",
    r"^[1-9][0-9]{0,19}$": "a decimal number of at most 20 digits, not starting with 0",
    r"^[a-z0-9]([a-z0-9-]{0,253}[a-z0-9])?$": "the name of a Python package in its normalised form, like scikit-learn",
    r"^[A-Za-z0-9]([A-Za-z0-9.!+_-]{0,126}[A-Za-z0-9])?$": "the version of a package, like 2.6.0+debian",
    r"^([0-9a-f]{64})?$": "64 lower-case hexadecimal digits, or empty",
    r"^[a-z0-9-]*$": "lower-case letters, digits and '-', or empty",
    r"^[a-z0-9-]{1,40}$": "1 to 40 lower-case letters, digits and '-'",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z$": "a minute like 2026-01-31T12:00Z",
    r"^nih:sha-256;[0-9a-f]{64}$": "a SHA-256 like nih:sha-256;0123..., 64 digits",
    r"^[A-Za-z0-9+/]{43}=$": "base64 of 32 bytes",
    r"^cloister [0-9A-Za-z.+-]+, key [0-9a-f]{64}$": "a build like cloister 0.1.0, key 0123..., 64 digits",
    r"^[A-Z]{3}$": "three capital letters, like EUR",
    r"^[A-Za-z0-9._-]{1,64}$": "1 to 64 letters, digits and . _ -",
    r"^cloister-[a-z0-9-]{1,63}$": "cloister- and the name of an image's flavor, like cloister-base",
    r"^urn:cloister:builder:[0-9a-f]{64}$": "a builder like urn:cloister:builder:0123..., 64 digits",
    r"^([0-9]|1[0-5])$": "a register number from 0 to 15",
    r"^([0-9]|1[0-9]|2[0-3])$": "a register number from 0 to 23",
    r"^(0|1|2|3|5|6|7|8|10|14)$": "a register number of the platform: 0 to 3, 5 to 8, 10 or 14",
}
"""The patterns of the schemas in words."""
_HEX = re.compile(r"\^\[0-9a-f\]\{(\d+)\}\$")
_BASE64 = re.compile(r"\^\[A-Za-z0-9_-\](?:\*|\{\d+,(\d+)\})\$")


def form(pattern: str) -> str:
    """A pattern of a schema in words, for the end of a sentence; the pattern itself if there are no words for it."""
    if pattern.endswith(r"\Z"):
        pattern = pattern.removesuffix(r"\Z") + "$"  # as in the schema, before _anchored
    if found := _HEX.fullmatch(pattern):
        return f"{found[1]} lower-case hexadecimal digits"
    if found := _BASE64.fullmatch(pattern):
        return "base64url without padding" + (f", at most {found[1]} characters" if found[1] else "")
    return _FORMS.get(pattern, f"of the form {pattern}")


def _reason(error: fastjsonschema.JsonSchemaValueException) -> str:
    """The problem, as the rest of a sentence that begins with the place."""
    wanted = error.rule_definition
    match error.rule:
        case "additionalProperties" if (name := unknown_member(error)) is not None:
            names = " or ".join(form(pattern) for pattern in error.definition.get("patternProperties", {}))
            return f"has the member '{name[:_SHOWN]}', " + (
                f"but its name must be {names}" if names else "which is not allowed"
            )
        case "required":
            return "lacks " + ", ".join(name for name in wanted if name not in error.value)
        case "const":
            return f"must be {json.dumps(wanted)}"
        case "enum":
            return "must be one of " + ", ".join(map(str, wanted))
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return "must be " + " or ".join(_TYPES[kind] for kind in kinds)
        case "pattern":
            return f"must be {form(wanted)}"
        case "minimum" | "maximum":
            return f"must be {_between(error.definition.get('minimum'), error.definition.get('maximum'))}"
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties":
            of = error.rule[len("min") :]
            least, most = error.definition.get(f"min{of}"), error.definition.get(f"max{of}")
            one, several = _COUNTED[of]
            noun = one if (least if most is None else most) == 1 else several
            return f"must have {_between(least, most)} {noun}, not {len(error.value)}"
        case "uniqueItems":
            return f"has {_twice(error.value)[:_SHOWN]} more than once"
    return f"violates the rule {error.rule} of its schema"


_COUNTED = {"Length": ("character", "characters"), "Items": ("entry", "entries"), "Properties": ("member", "members")}


def _twice(entries: list[Any]) -> str:
    """The first duplicate entry, as JSON."""
    seen: set[str] = set()
    for entry in entries:
        said = json.dumps(entry, sort_keys=True)
        if said in seen:
            return said
        seen.add(said)
    return "an entry"


def _between(least: int | None, most: int | None) -> str:
    if least is None or most is None:
        return f"at most {most}" if least is None else f"at least {least}"
    return f"{least} to {most}" if least < most else f"{least}"
