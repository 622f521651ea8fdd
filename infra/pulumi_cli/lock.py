"""The lock that pulumi puts on a stack whose state is in a folder, for as long as it changes something.

``.pulumi/locks/organization/PROJECT/STACK/<id>.json`` says which process of which host made it (``lockContent`` of
pulumi's pkg/backend/diy). It stays when that process is killed, and then stops every other one.
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
    """``pid`` is 0, and the texts are empty, where the file does not say it."""

    path: Path
    pid: int
    user: str
    host: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError when it was taken away meanwhile."""
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
        """Whether the process is known to be gone. Of another host nobody here knows, nor of an id that has been given
        out again.
        """
        if not self.is_of_this_host():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        # One's own, which can be looked at: it may have ended, and nobody has reaped it.
        return Process.of(self.pid) is None

    def remove(self) -> None:
        """Take it away, with the attributes that the library of buckets (gocloud.dev/blob/fileblob) keeps beside it."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.attrs").unlink(missing_ok=True)

    def holder(self) -> str:
        """Who made it, in words; empty when that is not said."""
        if not self.pid:
            return ""
        return f"process {self.pid} of {self.user}" + ("" if self.is_of_this_host() else f" on {self.host}")


def of(backend: str, project: Path, stack: str) -> list[StackLock]:
    """The locks on a stack of the Pulumi project in a folder; none where ``backend`` is not the address of a folder."""
    address = urlsplit(backend)
    if address.scheme != "file" or address.netloc or not stack or "/" in stack:
        return []
    declared = yaml.safe_load((project / "Pulumi.yaml").read_text())
    found = []
    for path in sorted((Path(unquote(address.path)) / _FOLDER / declared["name"] / stack).glob("*.json")):
        with suppress(FileNotFoundError):
            found.append(StackLock.read(path))
    return found
