"""The host tools: QEMU, swtpm, OVMF, mkfs.erofs and others, from their own lock.

They are unpacked into a folder of the cache named by the lock's digest, and run with their own loader and libraries.
Nothing is installed, and no program or library of the host's distribution is used.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from cloister.process import ProcessError, run
from image import cache, disk_space
from image.debian import deb
from image.errors import ImageError
from image.inputs.chain import PROGRAMS, TOOLS
from image.inputs.lockfile import load

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
# swtpm's own library is in a subfolder that only its RUNPATH names.
_LIBRARY_PATH = (_LIBRARIES, f"{_LIBRARIES}/swtpm")
# QEMU finds its files relative to /proc/self/exe, which is the loader: so the loader is put where QEMU would be.
LOADER = "usr/bin/ld.so"
"""The loader below the root of unpacked programs."""
_LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/", "usr/share/bug/")

_NOT_LOCKED = "Add the package that contains it to image/recipes/tools.toml, then run `invoke image.lock --tools`."


class ToolsError(ImageError):
    """A host tool is not in the lock, cannot be unpacked, or failed."""


@dataclass(frozen=True)
class Tools:
    """The unpacked tools: their folder and the digest of their lock (hex)."""

    root: Path
    digest: str

    def path(self, relative: str) -> Path:
        """A file of the tools, such as ``usr/share/OVMF/OVMF_CODE_4M.fd``. Raises ToolsError if it is missing."""
        path = self.root / relative
        if not path.exists():
            raise ToolsError(f"The host tools have no {relative}.", hint=_NOT_LOCKED)
        return path

    def argv(self, name: str) -> list[str]:
        """The start of a command line that runs the program ``name``, with the options it needs to find its files."""
        command = self._loaded(name)
        if name.startswith("qemu-system-"):
            return [*command, "-L", str(self.path("usr/share/qemu")), "-L", str(self.path("usr/share/seabios"))]
        if name == "swtpm_setup":
            return [*command, "--tpm", self._swtpm_for_setup(), "--config", str(self.path("etc/swtpm_setup.conf"))]
        return command

    def _loaded(self, name: str) -> list[str]:
        program = self.root / "usr/bin" / name
        if not program.exists():
            program = self.root / "usr/sbin" / name
        if not program.exists():
            raise ToolsError(f"The host tools have no program {name}.", hint=_NOT_LOCKED)
        libraries = ":".join(str(self.root / folder) for folder in _LIBRARY_PATH)
        # Some programs depend on their own name in argv[0].
        return [str(self.root / LOADER), "--inhibit-cache", "--library-path", libraries, "--argv0", name, str(program)]

    def _swtpm_for_setup(self) -> str:
        words = [*self._loaded("swtpm"), "socket"]
        if any(" " in word for word in words):
            raise ToolsError(
                f"swtpm_setup does not support a folder with a space in its name: {self.root}.",
                hint="Set XDG_CACHE_HOME to a folder without a space.",
            )
        return " ".join(words)

    def environment(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """``environment`` with a fixed locale and time zone, and without variables that load the host's libraries."""
        kept = {key: value for key, value in environment.items() if not key.startswith(("LD_", "LC_", "GCONV_"))}
        return kept | {"LC_ALL": "C", "LANG": "C", "TZ": "UTC", "GCONV_PATH": str(self.root / _LIBRARIES / "gconv")}

    def run(self, name: str, *words: str | os.PathLike[str], **options: Any) -> CompletedProcess[bytes]:
        """Run a tool until it exits; ``options`` are those of cloister.process.run. Raises ToolsError when it fails."""
        environment = self.environment() | dict(options.pop("env", None) or {})
        try:
            return run([*self.argv(name), *words], env=environment, **options)
        except ProcessError as error:
            # The error names the loader; name the tool instead.
            raise ToolsError(error.message.replace(Path(LOADER).name, name, 1)) from error


def ensure(source: Path | None = None, *, relock: bool = False, programs: str = TOOLS) -> Tools:
    """The tools of the lock, fetched and unpacked if needed.

    ``source`` is a tar from `invoke image.vendor`; ``relock`` is as for ``image.inputs.relock.obtain``; ``programs`` is
    the recipe, one of ``chain.PROGRAMS``.
    """
    tools = find(programs)
    if tools is not None:
        return tools
    # Imported late: it loads the code that verifies archives, which is not needed to start a VM.
    from image.inputs.relock import obtain

    lock, files = obtain(programs, source, relock=relock)
    digest = lock.digest()
    root = _folder(digest)
    with disk_space.needed(cache.root(), disk_space.CACHE_HINT):
        _ensure(root, [files[package.sha256] for package in lock.packages], PROGRAMS[programs])
    return Tools(root, digest)


def _ensure(root: Path, packages: Sequence[Path], spoken: str) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f"{root.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if root.is_dir():
            return
        print(f"Unpacking {spoken} ...", file=sys.stderr, flush=True)
        part = root.with_name(f"{root.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            unpack(packages, part)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        os.replace(part, root)


def _folder(digest: str) -> Path:
    return cache.root() / "tools" / digest


def find(programs: str = TOOLS) -> Tools | None:
    """The tools of the lock if they are unpacked, else None."""
    digest = load(programs).digest()
    return Tools(_folder(digest), digest) if _folder(digest).is_dir() else None


def unpack(packages: Sequence[Path], into: Path) -> None:
    """Unpack the files of Debian packages below ``into``, with the loader copied to ``usr/bin/ld.so``."""
    into.mkdir(parents=True)
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        list(pool.map(lambda package: _unpack(package, into), packages))
    shutil.copy2(into / "usr/lib64/ld-linux-x86-64.so.2", into / LOADER)


def _unpack(package: Path, into: Path) -> None:
    with deb.open_data(package) as archive:
        for member in archive:
            name = os.path.normpath(member.name)
            if name.startswith(_LEFT_OUT) or member.isdir():
                continue
            if name.startswith(("/", "..")):
                raise ToolsError(f"{package.name} contains a path outside of its root: {member.name!r}.")
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                target.symlink_to(member.linkname)
            elif member.islnk():
                target.hardlink_to(into / os.path.normpath(member.linkname))
            elif (content := archive.extractfile(member)) is not None:
                with target.open("xb") as file:
                    shutil.copyfileobj(content, file)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
