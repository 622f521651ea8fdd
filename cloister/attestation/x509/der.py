"""A small DER reader (ITU-T X.690) for certificates that vendors ship and `cryptography` rejects.

AMD's certificates have the serial number 0, which RFC 5280 forbids. The reader has only what such certificates need:
tags of one byte, definite lengths in their shortest form, and no value that could be encoded in two ways.
"""

import functools
from datetime import UTC, datetime

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

_MAX_LENGTH_BYTES = 3
_MAX_INTEGER = 64
_MAX_OID = 64


class DerReader:
    """Reads the elements of ``data`` one after another. ``name`` is the structure's name for error messages.

    Every method raises MalformedEvidence when the next element is not what the caller expects.
    """

    __slots__ = ("_data", "_name", "_offset")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._offset = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._offset

    def malformed(self, field: str, reason: str) -> MalformedEvidence:
        """The error for ``field`` at the current position."""
        return MalformedEvidence(f"{self._name}.{field}", self._offset, reason)

    def next_is(self, tag: int) -> bool:
        """Return whether an element with ``tag`` follows."""
        return self._offset < len(self._data) and self._data[self._offset] == tag

    def element(self, tag: int, field: str) -> bytes:
        """The content of the next element, which must have ``tag``."""
        data, start = self._data, self._offset + 2
        # Most elements are whole, and there are hundreds: these need no further calls.
        if start <= len(data) and data[start - 2] == tag:
            size = data[start - 1]
            if size == 0x82:  # two bytes of length; fewer would do for less than 256
                size = int.from_bytes(data[start : start + 2])
                start += 2
                end = start + size if size > 0xFF else len(data) + 1
            else:
                end = start + size if size < 0x80 else len(data) + 1
            if end <= len(data):
                self._offset = end
                return data[start:end]
        reader = Reader(data, self._name)
        reader.offset = self._offset
        found = reader.unsigned(1, f"{field}.tag")
        if found != tag:
            raise reader.malformed(field, f"has the tag {found:#04x}, must have {tag:#04x}")
        content = reader.take(_length(reader, field), field)
        self._offset = reader.offset
        return content

    def whole(self, tag: int, field: str) -> bytes:
        """The next element with its tag and length, as it was signed."""
        start = self._offset
        self.element(tag, field)
        return self._data[start : self._offset]

    def inside(self, tag: int, field: str) -> "DerReader":
        """A reader of the next element's content."""
        return DerReader(self.element(tag, field), f"{self._name}.{field}")

    def unsigned(self, field: str) -> int:
        """An INTEGER that is not negative."""
        content = self.element(INTEGER, field)
        if not 1 <= len(content) <= _MAX_INTEGER or content[0] & 0x80:
            raise self.malformed(field, "is not an integer of at most 64 bytes, or is negative")
        if len(content) > 1 and content[0] == 0 and not content[1] & 0x80:
            raise self.malformed(field, "is an integer with redundant leading zeros")
        return int.from_bytes(content)

    def oid(self, field: str) -> str:
        """An OBJECT IDENTIFIER, dotted."""
        try:
            return _dotted(self.element(OBJECT_IDENTIFIER, field))
        except ValueError as error:
            raise self.malformed(field, str(error)) from error

    def bits(self, field: str) -> bytes:
        """A BIT STRING of whole bytes."""
        content = self.element(BIT_STRING, field)
        if not content or content[0] != 0:
            raise self.malformed(field, "is not a string of whole bytes")
        return content[1:]

    def text(self, tag: int, field: str) -> str:
        """A string of printable ASCII."""
        content = self.element(tag, field)
        if not all(0x20 <= byte < 0x7F for byte in content):
            raise self.malformed(field, "has a character that is not printable ASCII")
        return content.decode("ascii")

    def time(self, field: str) -> datetime:
        """A time to the second, UTC (RFC 5280, section 4.1.2.5)."""
        short = self.next_is(UTC_TIME)
        content = self.element(UTC_TIME if short else GENERALIZED_TIME, field)
        digits = 12 if short else 14
        if len(content) != digits + 1 or content[-1:] != b"Z" or not content[:-1].isdigit():
            raise self.malformed(field, "is not a time in UTC to the second")
        text = content[:-1].decode("ascii")
        if short:
            text = ("19" if text[0] >= "5" else "20") + text
        try:
            parts = (int(text[start : start + 2]) for start in range(4, 14, 2))
            return datetime(int(text[:4]), *parts, tzinfo=UTC)
        except ValueError as error:
            raise self.malformed(field, "is not an existing time") from error

    def end(self) -> None:
        """Raises MalformedEvidence if bytes follow."""
        if self._offset != len(self._data):
            raise self.malformed("end", f"{self.remaining} bytes follow the structure")


def _length(reader: Reader, field: str) -> int:
    first = reader.unsigned(1, f"{field}.length")
    if first < 0x80:
        return first
    size = first & 0x7F
    if not 1 <= size <= _MAX_LENGTH_BYTES:
        raise reader.malformed(field, "has an indefinite length, or one of more than 3 bytes")
    length = reader.unsigned(size, f"{field}.length")
    if length < 0x80 or length < 1 << 8 * (size - 1):
        raise reader.malformed(field, "has a length that is not in its shortest form")
    return length


@functools.lru_cache(maxsize=256)
def _dotted(content: bytes) -> str:
    """The text of an object identifier; the same few occur in every certificate. Raises ValueError with the reason."""
    if not 1 <= len(content) <= _MAX_OID or content[-1] & 0x80:
        raise ValueError("is not an object identifier of at most 64 bytes")
    arcs, value, first = [], 0, True
    for byte in content:
        if first and byte == 0x80:
            raise ValueError("is an object identifier with redundant leading zeros")
        value = value << 7 | byte & 0x7F
        first = not byte & 0x80
        if first:
            arcs.append(value)
            value = 0
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))
