"""Members of a workspace: entries of its configuration, checked before they are written."""

import base64
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from infra.configuration import key as keys
from infra.configuration import workspace
from infra.live import workspaces

_LARGEST_KEY = 64 * 1024


def add(stack_name: str, name: str, key_file: Path, roles: tuple[str, ...]) -> workspace.MemberConfiguration:
    """Write a member into the configuration, or replace the key and roles of the one with that name.

    Raises InputError when key or roles are wrong, or another member has the same key.
    """
    try:
        key = keys.parse(userfile.read(key_file, _LARGEST_KEY).decode("utf-8", "replace"))
    except OSError as error:
        raise InputError(f"The key {key_file} cannot be read: {error.strerror}.") from error
    except InputError as error:
        raise InputError(f"{key_file}: {error.message}", hint="Name the .pub file of `invoke keys`.") from error
    wrong = [role for role in roles if role not in workspace.ROLES]
    if wrong or not roles:
        said = f"{', '.join(wrong)}: no such role." if wrong else "A member needs at least one role."
        raise InputError(said, hint=f"Roles: {', '.join(workspace.ROLES)}.")
    entries = listed(stack_name)
    text = base64.b64encode(key).decode()
    for entry in entries:
        if entry.get("name") != name and entry.get("key") == text:
            raise InputError(f"{key_file} is already the key of the member {entry.get('name')!r}.")
    number = next((number for number, entry in enumerate(entries) if entry.get("name") == name), len(entries))
    if number < len(entries):
        # Set as a whole: a role that is no longer given must not stay.
        workspaces.unset(stack_name, f"members[{number}].roles")
    settings: dict[str, str | int] = {f"members[{number}].name": name, f"members[{number}].key": text}
    settings |= {f"members[{number}].roles[{index}]": role for index, role in enumerate(roles)}
    workspaces.configure(stack_name, settings)
    return workspace.MemberConfiguration(name, key, roles)


def remove(stack_name: str, name: str) -> None:
    """Take a member out of the configuration. Raises InputError when there is none."""
    for number, entry in enumerate(listed(stack_name)):
        if entry.get("name") == name:
            workspaces.unset(stack_name, f"members[{number}]")
            return
    raise InputError(f"The workspace has no member {name!r}.", hint="Members: invoke member.list")


def listed(stack_name: str) -> list[dict[str, object]]:
    """The members as the configuration has them."""
    value = workspaces.configuration(stack_name) or {}
    members = value.get("members") or []
    return [entry for entry in members if isinstance(entry, dict)]
