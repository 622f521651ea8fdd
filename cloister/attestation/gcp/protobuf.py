"""One message in the protobuf wire format (protobuf.dev, "Encoding"), with the few rules that evidence needs.

Sizes and counts are bounded, a field occurs at most once unless it is repeated, and there are no groups.
"""

from collections.abc import Iterator

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader

_MAX_FIELDS = 4096
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Message:
    """One protobuf message: the values of its fields by number (protobuf.dev, "Encoding")."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        self._fields: dict[int, list[int | bytes]] = {}
        for count, (number, value) in enumerate(_fields(Reader(data, name, "little"))):
            if count == _MAX_FIELDS:
                raise self.malformed("fields", f"there are more than {_MAX_FIELDS}")
            self._fields.setdefault(number, []).append(value)

    def malformed(self, field: str, reason: str) -> MalformedEvidence:
        """The error for ``field``."""
        return MalformedEvidence(f"{self._name}.{field}", 0, reason)

    def repeated(self, number: int, field: str) -> tuple[bytes, ...]:
        """All values of a field of bytes or messages."""
        values = self._fields.get(number, [])
        found = tuple(value for value in values if isinstance(value, bytes))
        if len(found) != len(values):
            raise self.malformed(field, "is a number, must be bytes")
        return found

    def optional(self, number: int, field: str) -> bytes | None:
        """The value of a field of bytes that occurs at most once, or None."""
        values = self.repeated(number, field)
        if len(values) > 1:
            raise self.malformed(field, f"comes {len(values)} times")
        return values[0] if values else None

    def bytes_(self, number: int, field: str) -> bytes:
        """The value of a required field of bytes."""
        value = self.optional(number, field)
        if not value:
            raise self.malformed(field, "is absent or empty")
        return value

    def sized(self, number: int, field: str, size: int) -> bytes:
        """The value of a required field of ``size`` bytes."""
        value = self.bytes_(number, field)
        if len(value) != size:
            raise self.malformed(field, f"has {len(value)} bytes, must have {size}")
        return value

    def little(self, number: int, field: str, size: int) -> bytes:
        """The value of an integer field as ``size`` bytes, little endian."""
        value = self.unsigned(number, field)
        if value >> 8 * size:
            raise self.malformed(field, f"is a number of more than {size} bytes")
        return value.to_bytes(size, "little")

    def numbers(self) -> tuple[int, ...]:
        """The numbers of the fields that occur."""
        return tuple(self._fields)

    def unsigned(self, number: int, field: str) -> int:
        """The value of an integer field, 0 if absent."""
        values = self._fields.get(number, [])
        if len(values) > 1:
            raise self.malformed(field, f"comes {len(values)} times")
        value = values[0] if values else 0
        if isinstance(value, bytes):
            raise self.malformed(field, "is bytes, must be a number")
        return value


def _fields(reader: Reader) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field."""
    while reader.remaining:
        start = reader.offset
        tag = _varint(reader, "tag")
        number, kind = tag >> 3, tag & 7
        field = f"field {number}"
        if number == 0:
            raise reader.malformed("tag", "has the field number 0", start)
        if kind == _VARINT:
            yield number, _varint(reader, field)
        elif kind == _BYTES:
            yield number, reader.take(_varint(reader, f"{field}.size"), field)
        elif kind in (_FIXED32, _FIXED64):
            yield number, reader.unsigned(4 if kind == _FIXED32 else 8, field)
        else:
            raise reader.malformed(field, f"has the wire type {kind}, which is not used", start)


def _varint(reader: Reader, field: str) -> int:
    """At most 10 bytes, 64 bits."""
    start, value = reader.offset, 0
    for shift in range(0, 70, 7):
        byte = reader.unsigned(1, field)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if value >> 64:
                break
            return value
    raise reader.malformed(field, "is a number of more than 64 bits", start)
