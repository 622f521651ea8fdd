"""The members in a workspace's configuration, checked before they are written."""

import base64
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from infra.configuration import public_key, workspace
from infra.live import workspaces

_LARGEST_KEY = 64 * 1024


def add(stack_name: str, name: str, key_file: Path, roles: tuple[str, ...]) -> workspace.MemberConfiguration:
    """Write a member into the configuration, or replace key and roles of the member with that name.

    Raises InputError when name, key or roles are invalid, or another member has the same key.
    """
    workspace.check_name(name)
    try:
        key = public_key.parse(userfile.read(key_file, _LARGEST_KEY).decode("utf-8", "replace"))
    except OSError as error:
        raise InputError(f"Cannot read the key {key_file}: {error.strerror}.") from error
    except InputError as error:
        raise InputError(f"{key_file}: {error.message}", hint="Pass the .pub file that `keys` wrote.") from error
    wrong = [role for role in roles if role not in workspace.ROLES]
    if wrong or not roles:
        said = f"Unknown role: {', '.join(wrong)}." if wrong else "A member must have at least one role."
        raise InputError(said, hint=f"Roles: {', '.join(workspace.ROLES)}.")
    present = entries(stack_name)
    text = base64.b64encode(key).decode()
    for entry in present:
        if entry.get("name") != name and entry.get("key") == text:
            raise InputError(f"{key_file} is already the key of the member {entry.get('name')!r}.")
    number = next((number for number, entry in enumerate(present) if entry.get("name") == name), len(present))
    if number < len(present):
        # Removed first: pulumi would keep roles beyond the end of the new list.
        workspaces.PROJECT.unset(stack_name, f"members[{number}].roles")
    settings: dict[str, str | int] = {f"members[{number}].name": name, f"members[{number}].key": text}
    settings |= {f"members[{number}].roles[{index}]": role for index, role in enumerate(roles)}
    workspaces.PROJECT.configure(stack_name, settings)
    return workspace.MemberConfiguration(name, key, roles)


def remove(stack_name: str, name: str) -> None:
    """Remove a member from the configuration. Raises InputError when no member has that name."""
    for number, entry in enumerate(entries(stack_name)):
        if entry.get("name") == name:
            workspaces.PROJECT.unset(stack_name, f"members[{number}]")
            return
    raise InputError(f"The workspace has no member {name!r}.", hint="Members: invoke member.list")


def entries(stack_name: str) -> list[dict[str, object]]:
    """The members as they are in the configuration."""
    value = workspaces.PROJECT.configuration(stack_name) or {}
    members = value.get("members") or []
    return [entry for entry in members if isinstance(entry, dict)]
