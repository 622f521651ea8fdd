"""Write the few DER structures of a signature (ITU-T X.690) for which `cryptography` has no writer."""

INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x31


def encode(tag: int, *parts: bytes) -> bytes:
    """One element whose contents are ``parts``."""
    contents = b"".join(parts)
    if len(contents) < 0x80:
        return bytes([tag, len(contents)]) + contents
    length = len(contents).to_bytes((len(contents).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + contents


def tagged(number: int, *parts: bytes) -> bytes:
    """A constructed element with the context-specific tag ``number``."""
    return encode(0xA0 | number, *parts)


def set_of(*members: bytes) -> bytes:
    """A SET OF, in DER's order (section 11.6)."""
    return encode(SET, *sorted(members))


def integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER, for example 1.2.840.113549.1.7.2."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    contents = b""
    for number in (40 * first + second, *rest):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        contents += bytes(reversed(digits))
    return encode(OBJECT_IDENTIFIER, contents)


def contents(element: bytes) -> bytes:
    """The contents of one element."""
    length = element[1]
    return element[2 + (length & 0x7F) :] if length & 0x80 else element[2:]


def split(elements: bytes) -> tuple[bytes, bytes]:
    """The first of several elements, and the rest."""
    length, start = elements[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(elements[2:start])
    return elements[: start + length], elements[start + length :]
