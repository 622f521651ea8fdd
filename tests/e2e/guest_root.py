"""Runs programs in the image's root file system, in namespaces of the caller's own: no root and no machine needed."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from cloister.process import run
from image.inputs import host_tools
from infra.configuration.image import Image

# $0 is the root, $1 the folder that becomes /work, the rest the program.
_ENTER = """
root=$0; work=$1; shift
mount --bind "$root" "$root"; mount --bind "$work" "$root/work"; mount -t tmpfs tmp "$root/tmp"
mount --rbind /dev "$root/dev"; mount --rbind /proc "$root/proc"
mkdir "$root/tmp/outside"; cd "$root"; pivot_root . tmp/outside; cd /work
/usr/bin/busybox umount -l /tmp/outside; /usr/bin/busybox rmdir /tmp/outside
exec "$@"
"""
# As agent_runtime/runner/oci_config.py sets it.
_ENVIRONMENT = {"PATH": "/usr/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class GuestRoot:
    """The unpacked root file system."""

    folder: Path

    @classmethod
    def unpack(cls, image: Image, folder: Path) -> Self:
        # Modes as in the image, independent of this process' umask.
        options = [f"--extract={folder}", "--no-preserve-owner", "--preserve-perms"]
        host_tools.ensure().run("fsck.erofs", *options, image.folder / "root.erofs")
        return cls(folder)

    def python(self, work: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """What the guest's Python prints with ``work`` as /work; skips the test where namespaces are not allowed."""
        _need_namespaces()
        words = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]
        script = ["sh", "-e", "-c", _ENTER, self.folder, work, "/usr/bin/env", "-i"]
        inner = [f"{name}={value}" for name, value in (_ENVIRONMENT | (environment or {})).items()]
        done = run([*words, *script, *inner, "/usr/bin/python3", *arguments], env={"PATH": os.environ["PATH"]})
        return done.stdout.decode()


def _need_namespaces() -> None:
    tried = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true"], check=False)
    if tried.returncode:
        pytest.skip("this host does not allow user namespaces")
