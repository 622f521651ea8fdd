"""A usage record: declared limits, asset sizes, start and end of a run to the minute, signed by the party that made it.

Everything in it is from the manifest and from the times of events that the machine signed. Nothing was measured inside
of the run, and the minutes are all that is said of how long it took: a finer value could tell something about the data.
"""

from dataclasses import dataclass
from typing import Any, Self

from cloister.client.files.keys import Key
from cloister.errors import ChangedFileError
from cloister.protocol import canonical, schema, signingkey

MAX_SIZE = 4 * 1024 * 1024
_LABEL = b"cloister/v1/usage\0"
_WHAT = "The usage record"


@dataclass(frozen=True)
class UsageRecord:
    """``usage`` is what it says, ``key`` the public key (SPKI) of the party that signed it."""

    usage: dict[str, Any]
    key: bytes
    signature: bytes

    @classmethod
    def sign(cls, usage: dict[str, Any], key: Key) -> Self:
        """The record, signed by a party."""
        schema.validate("client/usage", _document(usage, b"", b""), what=_WHAT)
        return cls(usage, key.public, key.sign(_LABEL + canonical.encode(usage)))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From canonical JSON, with or without a newline at the end.

        Raises FormatError, and ChangedFileError when the key in it did not sign it.
        """
        value = canonical.parse_canonical(data.removesuffix(b"\n"), what=_WHAT, limit=MAX_SIZE)
        schema.validate("client/usage", value, what=_WHAT)
        key = canonical.from_base64(value["key"], what=f"{_WHAT}: key")
        signingkey.load_public_key(key)
        signature = canonical.from_base64(value["signature"], what=f"{_WHAT}: signature")
        if not signingkey.verify(key, signature, _LABEL + canonical.encode(value["usage"])):
            raise ChangedFileError("The usage record was changed: its signature does not match.")
        return cls(value["usage"], key, signature)

    @property
    def key_id(self) -> str:
        """The fingerprint of the key that signed it."""
        return signingkey.key_id(self.key)

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return _document(self.usage, self.key, self.signature)

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self.value())


def _document(usage: dict[str, Any], key: bytes, signature: bytes) -> dict[str, Any]:
    return {"usage": usage, "key": canonical.to_base64(key), "signature": canonical.to_base64(signature)}
