"""The outermost elements of a key in DER (ITU-T X.690): enough to know what it is, not to judge it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
EXPLICIT_0 = 0xA0
EXPLICIT_1 = 0xA1
IMPLICIT_1 = 0x81
VERSIONS = 2
"""``Version`` is 0 or 1 in every form of a key but PKCS #12."""

_PKCS12_VERSION = 3


class NotDer(ValueError):
    """The bytes are not one whole DER element."""


@dataclass(frozen=True)
class Element:
    """An element's tag and content."""

    tag: int
    content: bytes

    @property
    def encoded(self) -> bytes:
        """The element with tag and length."""
        return encode(self.tag, self.content)

    @property
    def number(self) -> int:
        """The value of an INTEGER."""
        return int.from_bytes(self.content, signed=True)

    def children(self) -> list["Element"]:
        """The elements of the content. Raises NotDer."""
        return elements(self.content)


def encode(tag: int, content: bytes) -> bytes:
    """An element with its tag and length."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def elements(data: bytes) -> list[Element]:
    """The elements that ``data`` consists of. Raises NotDer."""
    found = []
    position = 0
    while position < len(data):
        head = data[position : position + 2]
        if len(head) < 2:
            raise NotDer
        size, position = head[1], position + 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 3 or position + count > len(data):
                raise NotDer
            size, position = int.from_bytes(data[position : position + count]), position + count
        if position + size > len(data):
            raise NotDer
        found.append(Element(head[0], data[position : position + size]))
        position += size
    return found


def whole(data: bytes) -> Element:
    """The one element that ``data`` is. Raises NotDer."""
    found = elements(data)
    if len(found) != 1:
        raise NotDer
    return found[0]


def oid(content: bytes) -> str:
    """The dotted form of an object identifier's content."""
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:]))


def form_of(data: bytes) -> str:
    """The PEM label of what ``data`` is, by its structure; empty when it is not known."""
    try:
        outer = whole(data)
        return _form(outer.children()) if outer.tag == SEQUENCE else ""
    except NotDer:
        return ""


def _form(parts: Sequence[Element]) -> str:
    tags = [part.tag for part in parts]
    match tags:
        case [0x02, 0x30, 0x04, *_] if 0 <= parts[0].number < VERSIONS:
            return "PRIVATE KEY"
        case [0x02, 0x04, *_] if parts[0].number == 1:
            return "EC PRIVATE KEY"
        case [0x30, 0x04]:
            return "ENCRYPTED PRIVATE KEY"
        case [0x30, 0x03]:
            return "PUBLIC KEY"
        case [0x02, 0x02]:
            return "RSA PUBLIC KEY"
        case [0x02, 0x30, *_] if parts[0].number == _PKCS12_VERSION:
            return "PKCS12"
        case [0x06, 0xA0]:
            return "PKCS7"
        case [0x30, 0x30, 0x03]:
            return _signed(parts[0].children())
    if set(tags[:6]) == {INTEGER} and parts[0].number in range(VERSIONS):
        return {6: "DSA PRIVATE KEY"}.get(len(tags), "RSA PRIVATE KEY" if len(tags) >= 9 else "")
    return ""


def _signed(parts: Sequence[Element]) -> str:
    """Certificate, request or revocation list, by the part that is signed."""
    tags = [part.tag for part in parts]
    if tags[:1] == [EXPLICIT_0] or tags[:6] == [INTEGER] + [SEQUENCE] * 5:
        return "CERTIFICATE"
    if tags[:3] == [INTEGER, SEQUENCE, SEQUENCE] and tags[-1] == EXPLICIT_0:
        return "CERTIFICATE REQUEST"
    return "X509 CRL"


def rsa_bits(data: bytes) -> int:
    """Bits of the largest number in an RSA private key (PKCS #1, or PKCS #8 around it); 0 for every other key.

    Raises NotDer.
    """
    if form_of(data) == "PRIVATE KEY":
        data = whole(data).children()[2].content
    return max(_bits(whole(data), 2)) if form_of(data) == "RSA PRIVATE KEY" else 0


def _bits(element: Element, levels: int) -> Iterator[int]:
    """Bits of each INTEGER in an RSA private key, those of further primes (RFC 8017, appendix A.1.2) included."""
    for child in element.children():
        if child.tag == SEQUENCE and levels:
            yield from _bits(child, levels - 1)
        elif child.tag == INTEGER:
            yield child.number.bit_length()


def certified_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate (RFC 5280, section 4.1). Raises NotDer."""
    parts = whole(certificate).children()[0].children()
    place = 6 if parts[0].tag == EXPLICIT_0 else 5
    if len(parts) <= place or parts[place].tag != SEQUENCE:
        raise NotDer
    return parts[place].encoded
