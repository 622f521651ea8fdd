"""JSON that Intel signs: the signed bytes, and strict access to every member."""

import json
import re
from datetime import datetime
from typing import Any

from cloister.attestation.errors import MalformedEvidence
from cloister.protocol import canonical, text

MAX_SIZE = 256 * 1024
"""Bytes of one document."""

MAX_ENTRIES = 64
"""Default limit of entries in a list."""

_SPACE = " \t\r\n"
_SPACE_BYTES = _SPACE.encode()
_DECODER = json.JSONDecoder()
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_SIGNATURE_SIZE = 64


class JsonMembers:
    """The members of one JSON object, each of which must be taken once."""

    def __init__(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise MalformedEvidence(name, 0, "is not a JSON object")
        self._members = dict(value)
        self._name = name

    def malformed(self, field: str, reason: str) -> MalformedEvidence:
        """The error for ``field``."""
        return MalformedEvidence(f"{self._name}.{field}", 0, reason)

    def take(self, field: str, kind: type[Any], default: Any = None) -> Any:
        """The member, of exactly this type; JSON's true is not a number."""
        value = self._members.pop(field, default)
        if type(value) is not kind:
            raise self.malformed(field, "is absent" if value is None else f"is not a {kind.__name__}")
        return value

    def constant(self, field: str, wanted: str | int) -> None:
        """Requires a member with this value."""
        value = self.take(field, type(wanted))
        if value != wanted:
            raise self.malformed(field, f"is {repr(value)[:40]}, must be {wanted}")

    def number(self, field: str, most: int) -> int:
        """A whole number from 0 to ``most``."""
        value = self.take(field, int)
        if not 0 <= value <= most:
            raise self.malformed(field, f"is {value}, must be 0 to {most}")
        return int(value)

    def hex(self, field: str, size: int) -> bytes:
        """``size`` bytes in hexadecimal digits of either case."""
        text = self.take(field, str)
        if len(text) != 2 * size or not _HEX.fullmatch(text):
            raise self.malformed(field, f"is not {size} bytes in hexadecimal digits")
        return bytes.fromhex(text)

    def time(self, field: str) -> datetime:
        """A time in UTC, whole seconds."""
        text = self.take(field, str)
        try:
            time = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
        except ValueError:
            time = None
        if time is None:
            raise self.malformed(field, f"is {text[:40]!r}, which is not a time")
        return time

    def sequence(self, field: str, *, required: bool = True, most: int = MAX_ENTRIES) -> list[Any]:
        """A list of at most ``most`` entries; empty if it is absent and not ``required``."""
        found: list[Any] = self.take(field, list, None if required else [])
        if len(found) > most:
            raise self.malformed(field, f"has {len(found)} entries, at most {most} are allowed")
        return found

    def end(self) -> None:
        """Raises MalformedEvidence if a member was not taken."""
        if self._members:
            raise self.malformed(
                text.printable(next(iter(self._members))[:40]), "is a member that Intel does not specify"
            )


def open_signed(data: bytes, member: str) -> tuple[bytes, bytes, Any]:
    """The signed bytes of ``member``, the signature, and the parsed value. Raises MalformedEvidence."""
    try:
        value = canonical.parse(data, what=f"The document with {member}", limit=MAX_SIZE)
    except canonical.FormatError as error:
        raise MalformedEvidence(member, 0, error.message) from error
    outer = JsonMembers(value, "document")
    body = outer.take(member, dict)
    signature = outer.hex("signature", _SIGNATURE_SIZE)
    if signature.hex() != value["signature"]:
        raise outer.malformed("signature", "is not in lower case, as Intel gives it")
    outer.end()
    # Two members, each once, and only one text that begins and ends so: what is between is the other one's value.
    start, end = f'{{"{member}":'.encode(), f',"signature":"{value["signature"]}"}}'.encode()
    if data.startswith(start) and data.endswith(end):
        return data[len(start) : -len(end)].strip(_SPACE_BYTES), signature, body
    return _raw(data.decode(), member).encode(), signature, body


def _raw(text: str, member: str) -> str:
    """The text of a member of the object ``text``, which is well-formed JSON and has the member once."""
    offset = _skip(text, 0) + 1
    while True:
        name, offset = _DECODER.raw_decode(text, _skip(text, offset))
        start = _skip(text, _skip(text, offset) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if name == member:
            return text[start:end]
        offset = _skip(text, end) + 1


def _skip(text: str, offset: int) -> int:
    while text[offset] in _SPACE:
        offset += 1
    return offset
