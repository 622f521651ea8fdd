"""Runs programs in the image's root file system, in namespaces of the caller's own: no root and no machine needed."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from agent_runtime.runner import oci_config
from image.inputs import host_tools
from infra.configuration.image import Image

# $0 is the root, $1 the folder that becomes /work, the rest the program.
_ENTER = """
root=$0; work=$1; shift
mount --bind "$root" "$root"; mount --bind "$work" "$root/work"
mount -t tmpfs tmp "$root/tmp"; mount -t tmpfs run "$root/run"
mount --rbind /dev "$root/dev"; mount --rbind /proc "$root/proc"
mkdir "$root/tmp/outside"; cd "$root"; pivot_root . tmp/outside; cd /work
/usr/bin/busybox umount -l /tmp/outside; /usr/bin/busybox rmdir /tmp/outside
exec "$@"
"""
_NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--fork")
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

    def python(self, work: Path, *arguments: str) -> str:
        """What the guest's Python prints with ``work`` as /work; skips the test where namespaces are not allowed."""
        done = self._run(work, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def launch(self, program: bytes, work: Path) -> subprocess.CompletedProcess[str]:
        """Have the launcher unpack ``bundle.tar`` of ``work`` and run ``program`` there, with a folder ``results``."""
        (work / "train.py").write_bytes(program)
        (work / "results").mkdir()
        argument = {
            "algorithm": "/work/train.py",
            "args": [],
            "launched": "/run/launched",
            "wheels": {"bundle": "/work/bundle.tar", "into": "/run/wheels"},
            "datasets": [],
        }
        return self._run(work, "-I", "-B", oci_config.LAUNCHER, json.dumps(argument))

    def _run(self, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        if subprocess.run([*_NAMESPACES, "true"], check=False).returncode:
            pytest.skip("this host does not allow user namespaces")
        script = ["sh", "-e", "-c", _ENTER, self.folder, work, "/usr/bin/env", "-i"]
        inner = [*(f"{name}={value}" for name, value in _ENVIRONMENT.items()), "/usr/bin/python3", *arguments]
        words = [*_NAMESPACES, "--mount-proc", *script, *inner]
        return subprocess.run(words, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False, text=True)
