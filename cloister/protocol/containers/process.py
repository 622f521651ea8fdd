"""The process of an image: its command, environment, folder, user and groups.

OCI Image Format Specification 1.1, config.md; names of users are looked up in the image's own /etc/passwd and
/etc/group (passwd(5), group(5)), as docker and podman do.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from cloister.protocol import text
from cloister.protocol.containers import limits
from cloister.protocol.containers.documents import ImageConfig, Members, parse
from cloister.protocol.containers.errors import ContainerError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for if the image sets no PATH, as with docker."""

_NUMBER = re.compile(r"\d{1,10}")
_USER = "Write a number (`USER 1000`), or the name of a user in the image's /etc/passwd."
_COMMAND = "Write ENTRYPOINT or CMD into the Dockerfile, or `args` into the manifest."


@dataclass(frozen=True)
class ContainerProcess:
    """What the runner starts in the unpacked image. ``environment`` has NAME=VALUE."""

    args: tuple[str, ...]
    environment: tuple[str, ...]
    folder: str
    user: int
    group: int
    groups: tuple[int, ...]

    def encode(self) -> bytes:
        """JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON, strictly: the sandbox wrote it. Raises ContainerError."""
        if len(data) > limits.MAX_PROCESS:
            raise ContainerError(f"The process has more than {limits.MAX_PROCESS} bytes.")
        value = parse(data, "The process")
        if sorted(value.names()) != sorted(cls.__dataclass_fields__):
            raise ContainerError("The process has missing or unknown members.")
        args, environment = value.texts("args"), value.texts("environment")
        folder = value.text("folder", most=limits.MAX_PATH)
        if not args or not args[0] or any("=" not in one[1:] for one in environment):
            raise ContainerError("The process has no command, or an invalid environment.")
        if not folder.startswith("/") or ".." in folder.split("/"):
            raise ContainerError("The process has an invalid folder.")
        groups = tuple(_id(value, one) for one in value.list("groups", limits.MAX_GROUPS))
        user, group = (_id(value, value.size(name)) for name in ("user", "group"))
        return cls(args, environment, folder, user, group, groups)


def _id(value: Members, number: Any) -> int:
    if type(number) is not int or not 0 <= number <= limits.MAX_ID:
        raise value.refusal("user, group and groups", f"must be numbers up to {limits.MAX_ID}")
    return number


def resolve(
    config: ImageConfig,
    args: Sequence[str],
    environment: Mapping[str, str],
    *,
    passwd: bytes | None,
    group: bytes | None,
) -> ContainerProcess:
    """The process of an image with the manifest's ``args`` and ``environment``. Raises ContainerError.

    ``passwd`` and ``group`` are the image's files, None where it has none.
    """
    # As `docker run IMAGE ARGS`: arguments take the place of CMD, and follow ENTRYPOINT.
    words = (*config.entrypoint, *(args or config.command))
    if not words or not words[0]:
        raise ContainerError("The image says nothing to start: it has neither ENTRYPOINT nor CMD.", hint=_COMMAND)
    user, gid, groups, home = _user(config.user, passwd or b"", group or b"")
    variables = {"PATH": PATH, "HOME": home} | dict(config.environment) | dict(environment)
    made = ContainerProcess(
        args=words,
        environment=tuple(f"{name}={value}" for name, value in variables.items()),
        folder=config.folder,
        user=user,
        group=gid,
        groups=groups,
    )
    if len(made.encode()) > limits.MAX_PROCESS or len(words) > limits.MAX_WORDS:
        raise ContainerError("The image's command and environment are too long.", hint=_COMMAND)
    return made


def _user(said: str, passwd: bytes, group: bytes) -> tuple[int, int, tuple[int, ...], str]:
    """User, group, further groups and home of ``USER``: ``NAME``, ``NUMBER``, and each with ``:GROUP``."""
    name, colon, wanted = said.partition(":")
    name = name or "0"
    rows = [row for row in _rows(passwd) if len(row) >= 6 and _NUMBER.fullmatch(row[2]) and _NUMBER.fullmatch(row[3])]
    row = next((row for row in rows if row[0] == name), None)
    if row is None and _NUMBER.fullmatch(name):
        row = next((row for row in rows if int(row[2]) == int(name)), None)
        user = int(name)
    elif row is None:
        raise ContainerError(f"The image's user {text.printable(name)[:64]} is not in its /etc/passwd.", hint=_USER)
    else:
        user = int(row[2])
    lines = [row for row in _rows(group) if len(row) >= 4 and _NUMBER.fullmatch(row[2])]
    groups: tuple[int, ...] = ()
    if colon and wanted:
        gid = _group(wanted, lines)
    else:
        gid = int(row[3]) if row is not None else 0
        if row is not None:
            groups = tuple(dict.fromkeys(int(line[2]) for line in lines if row[0] in line[3].split(",")))
    ids = (user, gid, *groups)
    if max(ids) > limits.MAX_ID or len(groups) > limits.MAX_GROUPS:
        raise ContainerError(
            f"The image's user {text.printable(said)[:64]} has an id beyond {limits.MAX_ID}, or too many groups.",
            hint=_USER,
        )
    return user, gid, groups, (row[5] if row is not None and row[5].startswith("/") else "/")


def _group(wanted: str, lines: list[list[str]]) -> int:
    row = next((line for line in lines if line[0] == wanted), None)
    if row is not None:
        return int(row[2])
    if _NUMBER.fullmatch(wanted):
        return int(wanted)
    raise ContainerError(f"The image's group {text.printable(wanted)[:64]} is not in its /etc/group.", hint=_USER)


def _rows(data: bytes) -> list[list[str]]:
    lines = data[: limits.MAX_USERS].decode("utf-8", "replace").splitlines()
    return [line.split(":") for line in lines if line and not line.startswith(("#", "+", "-"))]
