"""A frame on the wire: the message ``Sealed``, read and written without a second copy of its ciphertext.

The bytes are those of any protobuf encoder that writes fields in the order of their numbers, as encoders do: the
ciphertext is the last field. Another order, another field and a field that occurs twice are refused.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from cloister.protocol.canonical import FormatError
from cloister.v1 import agent_pb2

_SESSION, _STREAM, _COUNTER, _LAST, _CIPHERTEXT = 0x0A, 0x10, 0x18, 0x20, 0x2A
"""Field number * 8 + wire type (2: bytes with their length, 0: number), as the encoding begins each field."""

_MAX_HEAD = 192
"""Bytes of everything before the ciphertext: a session id has at most 128."""

OVERHEAD = _MAX_HEAD + 8
"""Bytes of a frame besides its ciphertext, at most."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``ciphertext`` is part of the bytes that it was read from."""

    session_id: str
    stream: int
    counter: int
    last: bool
    ciphertext: memoryview


def encode(*, session_id: str, stream: int, counter: int, last: bool, ciphertext: bytes | memoryview) -> bytes:
    """The bytes of a frame."""
    head = agent_pb2.Sealed(session_id=session_id, stream=stream, counter=counter, last=last).SerializeToString()
    return b"".join((head, bytes([_CIPHERTEXT]), _varint(len(ciphertext)), ciphertext))


def decode(data: bytes) -> Frame:
    """A frame from its bytes. Raises FormatError."""
    end, before = 0, 0
    while end < len(data) and (tag := data[end]) != _CIPHERTEXT:
        if tag not in (_SESSION, _STREAM, _COUNTER, _LAST) or tag <= before or end > _MAX_HEAD:
            raise _malformed()
        value, end = _read_varint(data, end + 1)
        if tag == _SESSION:
            end += value
        before = tag
    if end > min(len(data), _MAX_HEAD):
        raise _malformed()
    start = end
    if end < len(data):
        size, start = _read_varint(data, end + 1)
        if start + size != len(data):
            raise _malformed()
    try:
        head = agent_pb2.Sealed.FromString(data[:end])
    except DecodeError as error:
        raise _malformed() from error
    return Frame(head.session_id, head.stream, head.counter, head.last, memoryview(data)[start:])


def _varint(number: int) -> bytes:
    """Protobuf's form of a number: seven bits a byte, the lowest first; the high bit says that more follow."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise _malformed()


def _malformed() -> FormatError:
    return FormatError("A frame is not a valid message Sealed.")
