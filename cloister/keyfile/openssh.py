"""OpenSSH's forms of keys: lines, certificates and private keys.

Sources: RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709; OpenSSH, PROTOCOL.key and PROTOCOL.certkeys.
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterator

LABEL = "OPENSSH PRIVATE KEY"
LINE = "OpenSSH public key"
CERTIFICATE_LINE = "OpenSSH certificate"
MAGIC = b"openssh-key-v1\0"
CIPHERS = ("none", "aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com")
"""Ciphers of private keys that ``cryptography`` opens."""

_CERTIFICATE = "-cert-v01@openssh.com"
_PUBLIC_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
}
"""Type to the number of fields of its public key."""

_NAME = r"(?:ssh-(?:ed25519|ed448|rsa|dss)|ecdsa-sha2-nistp\d+|sk-(?:ssh|ecdsa)-[a-z0-9-]+?)"
_TYPE = rf"{_NAME}(?:-cert-v01)?(?:@openssh\.com)?"
_STARTS = re.compile(rf"{_TYPE}(?:\s|\Z)".encode())
_MENTIONS = re.compile(rf"(?:^|[\s,\"]){_TYPE}[ \t]+AAAA".encode(), re.MULTILINE)


def mentions_key(text: bytes) -> bool:
    """Return whether a line of the text has a public key, at its start or after something else."""
    return bool(_STARTS.match(text) or _MENTIONS.search(text))


def starts_with_key(line: str) -> bool:
    """Return whether the line starts with the type of a key."""
    return bool(_STARTS.match(line.encode()))


def is_certificate(kind: str) -> bool:
    """Return whether the type is that of a certificate."""
    return kind.endswith(_CERTIFICATE)


def is_dsa(kind: str) -> bool:
    """Return whether the type is DSA, of a key or a certificate."""
    return kind.startswith("ssh-dss")


def split_line(line: str) -> tuple[str, bytes]:
    """Type and binary form of the key in a line. Raises ValueError."""
    kind, *rest = line.split(None, 2)
    if not rest:
        raise ValueError("no key")
    try:
        blob = base64.b64decode(rest[0], validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    if next(_fields(blob)) != kind.encode():
        raise ValueError("another type")
    return kind, blob


def key_line(kind: str, blob: bytes) -> bytes:
    """The line of a key; of a certificate, that of the key that it certifies. Raises ValueError."""
    if is_certificate(kind):
        kind = kind.removesuffix(_CERTIFICATE)
        fields = _fields(blob)
        next(fields), next(fields)  # type and nonce
        parts = [kind.encode(), *(next(fields) for _ in range(_PUBLIC_FIELDS.get(kind, 0)))]
        blob = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return kind.encode() + b" " + base64.b64encode(blob)


def private_header(data: bytes) -> tuple[str, str, bytes]:
    """Cipher of a private key, type and binary form of its public key, which is not encrypted. Raises ValueError."""
    position = len(MAGIC)
    cipher, position = _field(data, position)
    for _ in ("derivation", "its options"):
        _, position = _field(data, position)
    if data[position : position + 4] != b"\0\0\0\1":
        raise ValueError("not one key")
    blob, _ = _field(data, position + 4)
    kind, _ = _field(blob, 0)
    return cipher.decode("ascii", "replace"), kind.decode("ascii", "replace"), blob


def rounds(data: bytes) -> int:
    """Rounds of bcrypt that an encrypted private key asks for; 0 of another derivation. Raises ValueError."""
    _, position = _field(data, len(MAGIC))
    name, position = _field(data, position)
    options, _ = _field(data, position)
    if name != b"bcrypt":
        return 0
    _, position = _field(options, 0)
    if len(options) != position + 4:
        raise ValueError("not the options of bcrypt")
    return int.from_bytes(options[position:])


def pem(data: bytes) -> bytes:
    """The PEM of a private key."""
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (LABEL.encode(), base64.encodebytes(data), LABEL.encode())


def _fields(data: bytes) -> Iterator[bytes]:
    """The fields in order. Raises ValueError for an incomplete one."""
    position = 0
    while True:
        field, position = _field(data, position)
        yield field


def _field(data: bytes, position: int) -> tuple[bytes, int]:
    """The field at a position, and the position after it. Raises ValueError."""
    start = position + 4
    end = start + int.from_bytes(data[position:start])
    if start > len(data) or end > len(data):
        raise ValueError("incomplete")
    return data[start:end], end
