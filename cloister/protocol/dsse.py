"""Signed in-toto statements: DSSE envelopes whose payload is a statement.

Payload and signatures are base64 as standard tools read it (RFC 4648 section 4, with padding); all other bytes of this
package are base64url without padding.

Sources: DSSE v1.0.2, "Protocol" (pre-authentication encoding) and "Envelope"; in-toto Attestation Framework, Statement
v1.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Self

from cloister.protocol import canonical, schema, signingkey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True)
class Signature:
    """A signature. ``key_id`` is what the envelope calls its key, and no one has signed that; it may be empty."""

    key_id: str
    value: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload and its signatures, none of which has been verified."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes, *, what: str, limit: int) -> Self:
        """From JSON with a payload of at most ``limit`` bytes, whatever tool wrote it. Raises FormatError."""
        value = canonical.parse(data, what=what, limit=2 * limit)
        schema.validate("dsse", value, what=what)
        payload = _from_base64(value["payload"], what=f"{what}: payload")
        if len(payload) > limit:
            raise canonical.FormatError(f"{what} has a payload of more than {limit} bytes.")
        return cls(
            payload,
            tuple(
                Signature(one.get("keyid", ""), _from_base64(one["sig"], what=f"{what}: signature"))
                for one in value["signatures"]
            ),
        )

    def signed_by(self, spki: bytes) -> bool:
        """Whether the key made one of the signatures, whatever the envelope calls it. Raises FormatError for a key of
        an unsupported type.
        """
        message = pre_authentication(self.payload)
        return any(signingkey.verify(spki, one.value, message) for one in self.signatures)


def sign(payload: bytes, key: signingkey.PrivateKey) -> bytes:
    """The envelope (canonical JSON) of a statement with one signature, whose key is named by its id."""
    return canonical.encode(
        {
            "payload": _to_base64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {
                    "keyid": signingkey.key_id(signingkey.spki_of(key.public_key())),
                    "sig": _to_base64(signingkey.sign(key, pre_authentication(payload))),
                }
            ],
        }
    )


def pre_authentication(payload: bytes) -> bytes:
    """What is signed: the payload with its type and both lengths."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str, *, what: str) -> bytes:
    """The bytes of base64 text with padding; exactly one text decodes to given bytes. Raises FormatError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise canonical.FormatError(f"{what} is not base64 with padding.") from error
    if _to_base64(data) != text:
        raise canonical.FormatError(f"{what} is not base64 with padding.")
    return data
