"""The lock that pulumi holds on a stack, with its state in a folder, while it changes it.

``.pulumi/locks/organization/PROJECT/STACK/<id>.json`` names the process and host that hold it (``lockContent`` in
pulumi's pkg/backend/diy). It remains when that process is killed, and then blocks every other process.
"""

import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import yaml

from cloister import userfile
from infra.processes import Process

_FOLDER = ".pulumi/locks/organization"
_LARGEST = 65536


@dataclass(frozen=True)
class StackLock:
    """``pid`` is 0 and the strings are empty where the file does not say."""

    path: Path
    pid: int
    user: str
    host: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError when it has been removed."""
        try:
            said = json.loads(userfile.read(path, _LARGEST))
        except ValueError:
            said = None
        fields = said if isinstance(said, dict) else {}
        pid, user, host = fields.get("pid"), fields.get("username"), fields.get("hostname")
        return cls(
            path=path,
            pid=pid if type(pid) is int and pid > 0 else 0,
            user=user if isinstance(user, str) else "",
            host=host if isinstance(host, str) else "",
        )

    def is_of_this_host(self) -> bool:
        return self.pid > 0 and self.host == socket.gethostname()

    def is_left_behind(self) -> bool:
        """Whether the process is known to have ended. False for another host, and for a process ID in use again."""
        if not self.is_of_this_host():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        # The user's own process; it may have ended without having been reaped.
        return Process.of(self.pid) is None

    def remove(self) -> None:
        """Delete it, with the attributes file that gocloud.dev/blob/fileblob keeps for it."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.attrs").unlink(missing_ok=True)

    def holder(self) -> str:
        """Its process, user and host for a message; "" if unknown."""
        if not self.pid:
            return ""
        return f"process {self.pid} of {self.user}" + ("" if self.is_of_this_host() else f" on {self.host}")


def of(backend: str, project: Path, stack: str) -> list[StackLock]:
    """The locks on a stack of the Pulumi project in ``project``; empty unless ``backend`` is the URL of a folder."""
    address = urlsplit(backend)
    if address.scheme != "file" or address.netloc or not stack or "/" in stack:
        return []
    declared = yaml.safe_load((project / "Pulumi.yaml").read_text())
    found = []
    for path in sorted((Path(unquote(address.path)) / _FOLDER / declared["name"] / stack).glob("*.json")):
        with suppress(FileNotFoundError):
            found.append(StackLock.read(path))
    return found
