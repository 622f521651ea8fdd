"""An invitation to a workspace, and the answer to it, which shows that its sender has the private key."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Self

from cloister.protocol import canonical, schema, signingkey

MAX_SIZE = 16 * 1024
"""Bytes of either document."""

_LABEL = b"cloister/v1/invitation-answer\0"


@dataclass(frozen=True)
class Invitation:
    """What the platform team offers to a future member of the workspace ``workspace``."""

    workspace: str
    member: str
    roles: tuple[str, ...]
    """Sorted and unique, at least one of ``cloister.protocol.descriptor.ROLES``."""
    id: str
    """32 random bytes, hex: an answer is for this invitation and no other."""

    @classmethod
    def new(cls, workspace: str, member: str, roles: tuple[str, ...]) -> Self:
        """An invitation with a new id."""
        return cls(workspace, member, tuple(sorted(set(roles))), secrets.token_hex(32))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON of at most 16 KiB. Raises FormatError."""
        what = "The invitation"
        value = canonical.parse(data, what=what, limit=MAX_SIZE)
        schema.validate("invitation", value, what=what)
        roles = tuple(value["roles"])
        if list(roles) != sorted(set(roles)):
            raise canonical.FormatError(f"{what}: roles must be sorted and unique.")
        return cls(value["workspace"], value["member"], roles, value["id"])

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(
            {
                "version": 1,
                "kind": "invitation",
                "workspace": self.workspace,
                "member": self.member,
                "roles": list(self.roles),
                "id": self.id,
            }
        )

    def digest(self) -> str:
        """SHA-256 of the encoded form, hex."""
        return hashlib.sha256(self.encode()).hexdigest()


@dataclass(frozen=True)
class InvitationAnswer:
    """The answer to the invitation whose digest is ``invitation`` (hex): the member's public key, and its signature."""

    workspace: str
    member: str
    invitation: str
    key: bytes
    """SubjectPublicKeyInfo, DER."""
    signature: bytes
    """By this key, over a label and the other members in canonical JSON."""

    @classmethod
    def sign(cls, invitation: Invitation, private: signingkey.PrivateKey) -> Self:
        """The answer of the one who has ``private``. Raises FormatError for a key of an unsupported type."""
        spki = signingkey.spki_of(private.public_key())
        unsigned = cls(invitation.workspace, invitation.member, invitation.digest(), spki, b"")
        signature = signingkey.sign(private, unsigned._message())
        return cls(unsigned.workspace, unsigned.member, unsigned.invitation, spki, signature)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON of at most 16 KiB. Raises FormatError, also for a signature that is not the key's."""
        what = "The answer to an invitation"
        value = canonical.parse(data, what=what, limit=MAX_SIZE)
        schema.validate("invitation-answer", value, what=what)
        key = canonical.from_base64(value["key"], what=f"{what}: the key")
        signature = canonical.from_base64(value["signature"], what=f"{what}: the signature")
        found = cls(value["workspace"], value["member"], value["invitation"], key, signature)
        if not signingkey.verify(key, signature, found._message()):
            raise canonical.FormatError(
                f"{what} is not signed by the key in it: it was changed, or its sender does not have the private key."
            )
        return found

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self._value() | {"signature": canonical.to_base64(self.signature)})

    def _value(self) -> dict[str, Any]:
        return {
            "version": 1,
            "kind": "invitation-answer",
            "workspace": self.workspace,
            "member": self.member,
            "invitation": self.invitation,
            "key": canonical.to_base64(self.key),
        }

    def _message(self) -> bytes:
        return _LABEL + canonical.encode(self._value())
