"""Canonical JSON (RFC 8785) for everything that is digested or signed, and a strict parser.

Bytes are base64url without padding (RFC 4648 section 5), digests lower-case hex, times RFC 3339 in UTC.
"""

import base64
import binascii
import contextlib
import datetime
import functools
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import rfc8785

from cloister.errors import InputError

_MAX_DEPTH = 32
_SAFE_INTEGER = 2**53 - 1
_HEX = re.compile(r"[0-9a-f]*\Z")
# An unterminated string extends to the end of the text, so that no byte is matched twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one level more, one less
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * 16  # perhaps too large
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z\Z")


class FormatError(InputError):
    """A document is invalid."""

    remedy = "Correct the document, or ask its sender for a valid one."


def encode(value: Any) -> bytes:
    """``value`` (dict, list, str, int, bool, None) as RFC 8785 canonical JSON.

    Raises FormatError for a value that :func:`parse` would refuse.
    """
    _require_parsable(value, 0)
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise FormatError(f"The value has no canonical JSON form: {error}.") from error
    except UnicodeEncodeError as error:  # in a member's name, which rfc8785 does not check
        raise FormatError("The value has no canonical JSON form: it contains an unpaired surrogate.") from error


def _require_parsable(value: Any, level: int) -> None:
    """Raise FormatError for numbers and nesting that :func:`parse` refuses; ``level``: how deep the value lies."""
    refused = "The value has no canonical JSON form:"
    if isinstance(value, float):
        raise FormatError(f"{refused} it contains the number {value}; only integers are allowed.")
    if isinstance(value, int) and abs(value) > _SAFE_INTEGER:
        raise FormatError(f"{refused} it contains an integer of {value.bit_length()} bits, which is too large.")
    if not isinstance(value, dict | list | tuple):
        return
    if level == _MAX_DEPTH:
        raise FormatError(f"{refused} it is nested more than {_MAX_DEPTH} levels deep.")
    for inner in value.values() if isinstance(value, dict) else value:
        _require_parsable(inner, level + 1)


def digest(value: Any) -> bytes:
    """SHA-256 over the canonical JSON of ``value``, 32 bytes."""
    return hashlib.sha256(encode(value)).digest()


def parse(data: bytes, *, what: str, limit: int) -> Any:
    """The value of the JSON text ``data`` of at most ``limit`` bytes.

    Stricter than ``json``: UTF-8 only, no unpaired surrogates, no duplicate members, no numbers but integers of at
    most 53 bits, at most 32 levels of nesting. ``what`` names the document in errors. Raises FormatError.
    """
    return _parse(data, what, limit, ordered=False)[0]


def _parse(data: bytes, what: str, limit: int, *, ordered: bool) -> tuple[Any, bool]:
    """The value, and with ``ordered`` whether ``data`` is known to be its canonical form. False decides nothing."""
    if len(data) > limit:
        raise FormatError(f"{what} has more than {limit} bytes.")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise FormatError(f"{what} has the member {_twice(pairs)!r} twice.")
        return found

    def integer(text: str) -> int:
        if len(text) > 17 or abs(int(text)) > _SAFE_INTEGER:
            raise FormatError(f"{what} has the number {text[:24]}, which is too large.")
        return int(text)

    def refuse(text: str) -> Any:
        raise FormatError(f"{what} has the number {text[:24]}; only integers are allowed.")

    plain = b"\\" not in data
    # Without escapes, every second part between quotation marks is a string.
    bare = b"".join(data.split(b'"')[::2]) if plain else _STRING.sub(b"", data)
    if _depth(bare) > _MAX_DEPTH:
        raise FormatError(f"{what} is nested more than {_MAX_DEPTH} levels deep.")
    if plain and data.isascii() and _LONG_NUMBER not in bare.translate(_ZEROS):
        # Ten times as quick: a log has tens of thousands of events.
        read = _ordered if ordered else _unordered
        with contextlib.suppress(json.JSONDecodeError):  # told below
            if (value := read(data.decode("ascii"), bare, refuse)) is not None:
                return value, ordered
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=members,
            parse_int=integer,
            parse_float=refuse,
            parse_constant=refuse,
        )
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is not UTF-8 (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{what} is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    if b"\\u" in data:  # UTF-8 can hold an unpaired surrogate only as an escape
        try:
            encode(value)
        except FormatError as error:
            raise FormatError(f"{what} contains an unpaired surrogate.") from error
    return value, False


def _ordered(text: str, _: bytes, refuse: Callable[[str], Any]) -> Any:
    """The value, if ``text`` is what the standard library writes of it; None decides nothing.

    What it writes back as it was has no member twice. Of what comes here, it writes ASCII exactly as RFC 8785 demands:
    the shortest escapes, and members in the order of their characters, which is that of UTF-16 code units.
    """
    value = json.loads(text, parse_float=refuse, parse_constant=refuse)
    return value if json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) == text else None


def _unordered(text: str, bare: bytes, refuse: Callable[[str], Any]) -> Any:
    """The value, if no object has a member twice; None decides nothing.

    ``bare`` is ``text`` without its strings: every member has one colon there.
    """
    sizes: list[int] = []

    def counted(found: dict[str, Any]) -> dict[str, Any]:
        sizes.append(len(found))
        return found

    value = json.loads(text, object_hook=counted, parse_float=refuse, parse_constant=refuse)
    return value if sum(sizes) == bare.count(b":") else None


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """The first name that comes a second time; empty without one."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


def parse_canonical(data: bytes, *, what: str, limit: int) -> Any:
    """Like :func:`parse`, for documents whose bytes are digested: they must be the canonical form of their value."""
    value, same = _parse(data, what, limit, ordered=True)
    try:
        same = same or encode(value) == data
    except FormatError:
        same = False
    if not same:
        raise FormatError(f"{what} is not in canonical form (RFC 8785).")
    return value


def _depth(data: bytes) -> int:
    """The nesting depth of JSON without its strings: closing brackets in these would hide levels."""
    brackets = data.translate(_STEPS, _NO_BRACKETS)
    return max(itertools.accumulate(memoryview(brackets).cast("b")), default=0)


def to_base64(data: bytes) -> str:
    """``data`` as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64(text: str, *, what: str) -> bytes:
    """The bytes of base64url text without padding; exactly one text decodes to given bytes. Raises FormatError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{what} is not base64url.") from error
    if to_base64(data) != text:
        raise FormatError(f"{what} is not base64url without padding.")
    return data


def from_hex(text: str, *, what: str, size: int = 32) -> bytes:
    """The ``size`` bytes of lower-case hex text. Raises FormatError."""
    if len(text) != 2 * size or not _HEX.match(text):
        raise FormatError(f"{what} is not {2 * size} lower-case hex digits.")
    return bytes.fromhex(text)


def to_time(moment: datetime.datetime) -> str:
    """An aware time as RFC 3339 in UTC, with milliseconds."""
    return _utc_text(moment if moment.tzinfo is datetime.UTC else moment.astimezone(datetime.UTC))


@functools.lru_cache(maxsize=256)
def _utc_text(moment: datetime.datetime) -> str:
    # One time stands in many checks of a verdict. In UTC, equal times have one text: no hour comes twice.
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def from_time(text: str, *, what: str) -> datetime.datetime:
    """The aware time of RFC 3339 text in UTC. Raises FormatError."""
    if not _TIME.match(text):
        raise FormatError(f"{what} is not a time like 2026-01-31T12:00:00Z.")
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise FormatError(f"{what} is not a time: {error}.") from error
