"""The members in a workspace's configuration, and invitations to become one, checked before they are written."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from cloister.keyfile.public import read_public_key
from cloister.protocol import invitation
from cloister.protocol.invitation import Invitation, InvitationAnswer
from cloister.protocol.signingkey import key_id
from infra.configuration import public_key, workspace
from infra.configuration.members import ROLES, MemberConfiguration
from infra.live import workspaces


@dataclass(frozen=True)
class Added:
    """A member as written. ``note`` is a sentence about the key's file, if there is something to say."""

    member: MemberConfiguration
    note: str


@dataclass(frozen=True)
class Answered:
    """The answer in the file ``path`` to an open invitation. ``replaces`` is the digest of the key (hex) that a member
    with this name has now; empty for a new member.
    """

    path: Path
    invitation: Invitation
    member: MemberConfiguration
    replaces: str


def add(stack_name: str, name: str, key_file: Path, roles: tuple[str, ...]) -> Added:
    """Write a member into the configuration, or replace key and roles of the member with that name.

    Raises InputError when name, key or roles are invalid, or another member has the same key.
    """
    workspace.check_name(name)
    found = read_public_key(key_file)
    _check_roles(roles)
    return Added(_write(stack_name, name, found.spki, roles, key_file), found.note)


def _check_roles(roles: tuple[str, ...]) -> None:
    wrong = [role for role in roles if role not in ROLES]
    if wrong or not roles:
        said = f"Unknown role: {', '.join(wrong)}." if wrong else "A member must have at least one role."
        raise InputError(said, hint=f"Roles: {', '.join(ROLES)}.")


def _write(stack_name: str, name: str, spki: bytes, roles: tuple[str, ...], source: Path) -> MemberConfiguration:
    """Write the member with the key from the file ``source``. Raises InputError if another member has the key."""
    present = entries(stack_name)
    for entry in present:
        if entry.get("name") != name and _key(entry) == spki:
            raise InputError(
                f"{source} is already the key of the member {entry.get('name')!r}.",
                hint="Each member has its own key. Name another key file, or remove that member: invoke member.remove",
            )
    number = next((number for number, entry in enumerate(present) if entry.get("name") == name), len(present))
    if number < len(present):
        # Removed first: pulumi would keep roles beyond the end of the new list.
        workspaces.PROJECT.unset(stack_name, f"members[{number}].roles")
    text = base64.b64encode(spki).decode()
    settings: dict[str, str | int] = {f"members[{number}].name": name, f"members[{number}].key": text}
    settings |= {f"members[{number}].roles[{index}]": role for index, role in enumerate(roles)}
    workspaces.PROJECT.configure(stack_name, settings)
    return MemberConfiguration(name, spki, roles)


def invite(stack_name: str, name: str, roles: tuple[str, ...], output: Path) -> Invitation:
    """Write an invitation for ``name`` to the file ``output``, and keep it in the configuration until it is answered.

    An earlier invitation for ``name`` can then no longer be answered. Raises InputError when name or roles are invalid.
    """
    workspace.check_name(name)
    _check_roles(roles)
    made = Invitation.new(stack_name, name, roles)
    present = invitations(stack_name)
    number = next((number for number, one in enumerate(present) if one.member == name), len(present))
    if number < len(present):
        workspaces.PROJECT.unset(stack_name, f"invitations[{number}].roles")
    settings: dict[str, str | int] = {f"invitations[{number}].name": name, f"invitations[{number}].id": made.id}
    settings |= {f"invitations[{number}].roles[{index}]": role for index, role in enumerate(made.roles)}
    userfile.write_file(output, made.encode() + b"\n")
    workspaces.PROJECT.configure(stack_name, settings)
    return made


def answered(stack_name: str, path: Path) -> Answered:
    """The answer in the file ``path`` to an open invitation to this workspace. Raises InputError."""
    try:
        answer = InvitationAnswer.parse(userfile.read(path, invitation.MAX_SIZE))
    except OSError as error:
        raise userfile.unreadable(f"The answer {path}", error) from error
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    if answer.workspace != stack_name:
        raise InputError(
            f"{path} answers an invitation to the workspace {answer.workspace}, not to {stack_name}.",
            hint=f"Name that workspace: --stack {answer.workspace}",
        )
    for found in invitations(stack_name):
        if found.member == answer.member:
            if found.digest() != answer.invitation:
                raise InputError(
                    f"{path} answers another invitation than the last one to {answer.member}.",
                    hint="Ask for an answer to the last one, or invite again: invoke member.invite",
                )
            member = MemberConfiguration(found.member, answer.key, found.roles)
            earlier = next((_key(entry) for entry in entries(stack_name) if entry.get("name") == found.member), b"")
            return Answered(path, found, member, key_id(earlier) if earlier else "")
    raise InputError(
        f"{answer.member} has no open invitation to the workspace {stack_name}.",
        hint="Each invitation admits one key. Invite again: invoke member.invite; members: invoke member.list",
    )


def admit(stack_name: str, answer: Answered) -> MemberConfiguration:
    """Add the member whose key was compared, with the roles of the invitation. Raises InputError."""
    # Whatever was asked meanwhile took time, and the file of the answer may have another key by now.
    present = invitations(stack_name)
    if answer.invitation not in present:
        raise InputError(
            f"The invitation to {answer.member.name} is not open any more.", hint="Invite again: invoke member.invite"
        )
    # First, so that no second key can be admitted with it, whatever happens to this command.
    workspaces.PROJECT.unset(stack_name, f"invitations[{present.index(answer.invitation)}]")
    return _write(stack_name, answer.member.name, answer.member.key, answer.member.roles, answer.path)


def invitations(stack_name: str) -> list[Invitation]:
    """The invitations in the configuration that were not answered yet."""
    value = workspaces.PROJECT.configuration(stack_name) or {}
    return [
        Invitation(stack_name, str(one.get("name")), tuple(one.get("roles") or ()), str(one.get("id")))
        for one in value.get("invitations") or []
        if isinstance(one, dict)
    ]


def remove(stack_name: str, name: str) -> bool:
    """Remove a member from the configuration, and the invitation to ``name`` that is open; whether it was a member.

    Raises InputError for a name that is neither a member's nor invited.
    """
    invited = [one.member for one in invitations(stack_name)]
    present = [entry.get("name") for entry in entries(stack_name)]
    if name not in invited and name not in present:
        raise InputError(f"The workspace has no member {name!r}.", hint="Members: invoke member.list")
    if name in invited:
        workspaces.PROJECT.unset(stack_name, f"invitations[{invited.index(name)}]")
    if name in present:
        workspaces.PROJECT.unset(stack_name, f"members[{present.index(name)}]")
    return name in present


def entries(stack_name: str) -> list[dict[str, object]]:
    """The members of the configuration."""
    value = workspaces.PROJECT.configuration(stack_name) or {}
    members = value.get("members") or []
    return [entry for entry in members if isinstance(entry, dict)]


def _key(entry: Mapping[str, object]) -> bytes:
    """The key of a member (SPKI), in whichever form the configuration has it; empty if it cannot be read."""
    try:
        return public_key.parse(str(entry.get("key")))
    except InputError:
        return b""
