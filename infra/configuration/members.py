"""The members in a workspace's configuration, and the invitations that were not answered yet."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloister.protocol.descriptor import ROLES
from cloister.protocol.invitation import Invitation
from infra.configuration import public_key
from infra.configuration.validation import Validator

_ID = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class MemberConfiguration:
    """``key`` is the DER SubjectPublicKeyInfo of the member's public key."""

    name: str
    key: bytes
    roles: tuple[str, ...]

    def key_digest(self) -> str:
        """SHA-256 of the key in hex, as boot configurations name owners."""
        return hashlib.sha256(self.key).hexdigest()


def parse(validator: Validator, value: Any) -> tuple[MemberConfiguration, ...]:
    """The members in ``value``; each error goes to ``validator``."""
    made = []
    for path, entry in validator.entries(value, "workspace.members"):
        fields = validator.mapping(entry, path, required=("name", "key", "roles"))
        name = validator.name(fields, f"{path}.name")
        key = b""
        if isinstance(fields.get("key"), str):
            key = validator.attempt(f"{path}.key", lambda text=fields["key"]: public_key.parse(text)) or b""
        elif fields.get("key") is not None:
            validator.add(f"{path}.key", "must be a public key in PEM or base64.")
        made.append(MemberConfiguration(name, key, _roles(validator, fields, path)))
    validator.unique([member.name for member in made], "workspace.members", "name")
    validator.unique([member.key.hex() for member in made], "workspace.members", "key")
    if value is not None and not any("owner" in member.roles for member in made):
        validator.add("workspace.members", "no member is an owner; at least one must be.")
    return tuple(made)


def _roles(validator: Validator, fields: Mapping[str, Any], path: str) -> tuple[str, ...]:
    roles = fields.get("roles") or []
    if not isinstance(roles, list) or not roles:
        validator.add(f"{path}.roles", "must be a list of at least one role.")
        roles = []
    for role in roles:
        if role not in ROLES:
            validator.add(f"{path}.roles", f"invalid role {role!r}; must be one of {', '.join(ROLES)}.")
    return tuple(sorted({str(role) for role in roles}))


def parse_invitations(validator: Validator, workspace: str, value: Any) -> tuple[Invitation, ...]:
    """The open invitations to ``workspace`` in ``value``; each error goes to ``validator``."""
    made = []
    # `pulumi config rm` leaves an empty list behind.
    for path, entry in validator.entries(value or None, "workspace.invitations"):
        fields = validator.mapping(entry, path, required=("name", "roles", "id"))
        name = validator.name(fields, f"{path}.name")
        number = validator.matching(fields, "id", path, _ID, "64 hexadecimal digits")
        made.append(Invitation(workspace, name, _roles(validator, fields, path), number))
    validator.unique([one.member for one in made], "workspace.invitations", "name")
    return tuple(made)
