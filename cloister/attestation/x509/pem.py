"""Certificates in PEM (RFC 7468, "CERTIFICATE") as evidence has them: one after another, with nothing in between."""

import base64
import binascii
import re

from cloister.attestation.errors import MalformedEvidence

_BLOCK = re.compile(
    rb"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----(?:\r?\n)*", re.DOTALL
)


def read(text: bytes, field: str, *, limit: int, most: int) -> tuple[bytes, ...]:
    """The DER of each certificate: at least one, at most ``most``, in at most ``limit`` bytes of text.

    ``field`` names the text in errors. Raises MalformedEvidence.
    """
    if len(text) > limit:
        raise MalformedEvidence(field, 0, f"has {len(text)} bytes, at most {limit} are allowed")
    found: list[bytes] = []
    offset = 0
    while offset < len(text):
        block = _BLOCK.match(text, offset)
        if block is None or len(found) == most:
            raise MalformedEvidence(field, offset, f"is not a PEM chain of at most {most} certificates")
        text64 = block[1].translate(None, b"\r\n")
        try:
            der = base64.b64decode(text64, validate=True)
        except binascii.Error as error:
            raise MalformedEvidence(field, offset, "is not base64") from error
        if base64.b64encode(der) != text64:
            raise MalformedEvidence(field, offset, "is base64 with unused bits that are not zero")
        found.append(der)
        offset = block.end()
    if not found:
        raise MalformedEvidence(field, 0, "has no certificate")
    return tuple(found)
