"""One layer of encoding: hex, base64 or a list of numbers, with a size limit before and after.

Hex comes before base64, because every hex text of the right length is base64 too.
"""

import base64
import binascii
import re
from typing import Any

from cloister.attestation.evidence import MAX_SIZE
from cloister.protocol.canonical import FormatError

MAX_FILE = 2 * MAX_SIZE
"""Bytes of a file before it is decoded."""

MAX_DECODED = MAX_SIZE
"""Bytes of a file, or of a member of it, after it is decoded."""

_HEX = re.compile(r"(?:0x)?([0-9A-Fa-f]+)", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}|[A-Za-z0-9_-]+={0,2}", re.ASCII)
_TEXT = re.compile(rb"[A-Za-z0-9+/_=\s-]+")
_SHORTEST_TEXT = 64


def from_text(text: str, what: str, limit: int = MAX_DECODED) -> bytes:
    """The bytes of hex, base64 or base64url text, with padding or without. Raises FormatError.

    ``what`` names the text in errors.
    """
    if len(text) > 2 * limit + 2:
        raise FormatError(f"{what} has {len(text)} characters, which is more than {limit} bytes in hex.")
    if (found := _HEX.fullmatch(text)) and len(text) % 2 == 0:
        data = bytes.fromhex(found[1])
    elif _BASE64.fullmatch(text):
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise FormatError(f"{what} is neither hex nor base64.") from error
        if base64.b64encode(data).decode().rstrip("=") != plain:
            raise FormatError(f"{what} is base64 with unused bits that are not zero.")
    else:
        raise FormatError(f"{what} is neither hex nor base64.")
    if len(data) > limit:
        raise FormatError(f"{what} has {len(data)} bytes, at most {limit} are allowed.")
    return data


def from_value(value: Any, what: str, limit: int = MAX_DECODED) -> bytes:
    """The bytes of a JSON value: text as in :func:`from_text`, or a list of numbers. Raises FormatError."""
    if isinstance(value, str):
        return from_text(value, what, limit)
    if not isinstance(value, list):
        raise FormatError(f"{what} is neither text nor a list of bytes.")
    if len(value) > limit:
        raise FormatError(f"{what} has {len(value)} bytes, at most {limit} are allowed.")
    if not all(type(one) is int and 0 <= one <= 255 for one in value):
        raise FormatError(f"{what} is a list with something that is not a byte.")
    return bytes(value)


def decoded_file(data: bytes) -> bytes | None:
    """What a file contains that is hex or base64 text and nothing else; None for any other file.

    Lines may be broken anywhere. Raises FormatError for more than ``MAX_DECODED`` bytes.
    """
    if len(data) < _SHORTEST_TEXT or b"-----" in data or not _TEXT.fullmatch(data):
        return None
    text = b"".join(data.split()).decode("ascii")
    try:
        found = from_text(text, "The text", MAX_FILE)
    except FormatError:
        return None
    if len(found) > MAX_DECODED:
        raise FormatError(f"The text has {len(found)} bytes, at most {MAX_DECODED} are allowed.")
    return found
