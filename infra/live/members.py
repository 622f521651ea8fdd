"""The members in a workspace's configuration, checked before they are written."""

import base64
from dataclasses import dataclass
from pathlib import Path

from cloister.errors import InputError
from cloister.keyfile.public import read_public_key
from infra.configuration import workspace
from infra.live import workspaces


@dataclass(frozen=True)
class Added:
    """A member as written. ``note`` is a sentence about the key's file, if there is something to say."""

    member: workspace.MemberConfiguration
    note: str


def add(stack_name: str, name: str, key_file: Path, roles: tuple[str, ...]) -> Added:
    """Write a member into the configuration, or replace key and roles of the member with that name.

    Raises InputError when name, key or roles are invalid, or another member has the same key.
    """
    workspace.check_name(name)
    found = read_public_key(key_file)
    wrong = [role for role in roles if role not in workspace.ROLES]
    if wrong or not roles:
        said = f"Unknown role: {', '.join(wrong)}." if wrong else "A member must have at least one role."
        raise InputError(said, hint=f"Roles: {', '.join(workspace.ROLES)}.")
    present = entries(stack_name)
    text = base64.b64encode(found.spki).decode()
    for entry in present:
        if entry.get("name") != name and entry.get("key") == text:
            raise InputError(
                f"{key_file} is already the key of the member {entry.get('name')!r}.",
                hint="Each member has its own key. Name another key file, or remove that member: invoke member.remove",
            )
    number = next((number for number, entry in enumerate(present) if entry.get("name") == name), len(present))
    if number < len(present):
        # Removed first: pulumi would keep roles beyond the end of the new list.
        workspaces.PROJECT.unset(stack_name, f"members[{number}].roles")
    settings: dict[str, str | int] = {f"members[{number}].name": name, f"members[{number}].key": text}
    settings |= {f"members[{number}].roles[{index}]": role for index, role in enumerate(roles)}
    workspaces.PROJECT.configure(stack_name, settings)
    return Added(workspace.MemberConfiguration(name, found.spki, roles), found.note)


def remove(stack_name: str, name: str) -> None:
    """Remove a member from the configuration. Raises InputError when no member has that name."""
    for number, entry in enumerate(entries(stack_name)):
        if entry.get("name") == name:
            workspaces.PROJECT.unset(stack_name, f"members[{number}]")
            return
    raise InputError(f"The workspace has no member {name!r}.", hint="Members: invoke member.list")


def entries(stack_name: str) -> list[dict[str, object]]:
    """The members of the configuration."""
    value = workspaces.PROJECT.configuration(stack_name) or {}
    members = value.get("members") or []
    return [entry for entry in members if isinstance(entry, dict)]
