"""Checks whether this machine has what the platform team needs, and says how to fix what is missing."""

import functools
import importlib.metadata
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

from cloister.errors import CloisterError
from cloister.machinecheck import MachineCheck
from image import cache
from image.debian.mirror import ADVICE, Mirror
from image.errors import reason
from image.inputs import host_tools, lockfile
from infra import paths
from infra.configuration import cloud
from infra.live import checkup
from infra.provider.qemu import accelerator, ports
from infra.pulumi_cli import engine

_GIBIBYTE = 1 << 30
_DISK = 6 * _GIBIBYTE
_MEMORY = 5 * _GIBIBYTE
_MIRROR_SECONDS = 5.0
_PACKAGES = ("pulumi", "grpcio", "protobuf", "cryptography", "invoke")
_PYTHON = (3, 11)


def examine() -> list[MachineCheck]:
    """All checks, in the order in which to fix them."""
    checks = {
        "machine": _machine,
        "python": _python,
        "packages": _packages,
        **{backend: functools.partial(_cloud, backend) for backend in cloud.BACKENDS},
        "memory": _memory,
        "disk": _disk,
        "engine": _engine,
        "host tools": _tools,
        "virtualization": _virtualization,
        "port": _port,
        "mirror": _mirror,
        "shell": _shell,
    }
    return [*(_check(name, check) for name, check in checks.items()), *checkup.check_up()]


def _check(name: str, check: Callable[[], MachineCheck]) -> MachineCheck:
    try:
        return check()
    except CloisterError as error:
        return MachineCheck(name, False, error.message, error.hint or error.remedy)


def _machine() -> MachineCheck:
    found = f"{platform.system()} on {platform.machine()}"
    good = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return MachineCheck(
        "machine", good, found, "" if good else "Use Linux on x86-64: the image and its tools run nowhere else."
    )


def _python() -> MachineCheck:
    good = sys.version_info >= _PYTHON
    return MachineCheck(
        "python", good, platform.python_version(), "" if good else "Install Python 3.11 or newer, then run: make"
    )


def _packages() -> MachineCheck:
    found, missing = _installed(_PACKAGES)
    text = ", ".join(found) + (f"; missing: {', '.join(missing)}" if missing else "")
    return MachineCheck("packages", not missing, text, "Install the packages: make venv" if missing else "")


def _cloud(backend: str) -> MachineCheck:
    """The packages that only workspaces in one cloud need. Optional, so that the check never fails; it does not test
    whether the user can sign in to the cloud.
    """
    found, missing = _installed(checkup.cloud_packages(backend))
    if missing:
        return MachineCheck(
            backend, True, f"missing: {', '.join(missing)}; needed only for workspaces there: make {backend}"
        )
    return MachineCheck(backend, True, ", ".join(found))


def _installed(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The installed packages of ``names`` with their versions, and the names of the others."""
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return found, missing


def _memory() -> MachineCheck:
    pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, value, *_ = line.split()
        if name == "MemAvailable:":
            pages = int(value) * 1024 // size
    free = pages * size
    remedy = (
        ""
        if free >= _MEMORY
        else "Free some memory: a CVM uses 4 GiB by default; `memory: 2GiB` is enough for the demo."
    )
    return MachineCheck("memory", free >= _MEMORY, f"{free / _GIBIBYTE:.1f} GiB available", remedy)


def _disk() -> MachineCheck:
    cache.root().mkdir(parents=True, exist_ok=True)
    places = {"cache": cache.root(), "checkout": paths.CHECKOUT}
    free = {name: shutil.disk_usage(path).free for name, path in places.items()}
    good = min(free.values()) >= _DISK
    found = ", ".join(f"{size / _GIBIBYTE:.0f} GiB free for the {name}" for name, size in free.items())
    remedy = f"Free some space, or set XDG_CACHE_HOME to a disk with {_DISK // _GIBIBYTE} GiB." if not good else ""
    return MachineCheck("disk", good, found, remedy)


def _engine() -> MachineCheck:
    found = engine.find()
    if found is None:
        return MachineCheck("engine", False, "no Pulumi engine", "Install it, once, in 1 to 6 minutes: invoke setup")
    return MachineCheck("engine", True, f"Pulumi {found.version} from {found.source} ({found.folder})")


def _tools() -> MachineCheck:
    found = host_tools.find()
    if found is None:
        return MachineCheck(
            "host tools", False, "QEMU, swtpm and OVMF are not installed", "Fetch them (50 MB): invoke setup"
        )
    # Raises if swtpm_setup cannot run from a folder with this name.
    found.argv("swtpm_setup")
    return MachineCheck("host tools", True, f"unpacked in {found.root}")


def _virtualization() -> MachineCheck:
    found = host_tools.find()
    if found is None:
        return MachineCheck(
            "virtualization", False, "cannot be checked without the host tools", "Fetch them: invoke setup"
        )
    chosen = accelerator.choose(found)
    how = "KVM" if chosen.name == "kvm" else "emulation, a boot takes about 20 s"
    # Emulation is slower but sufficient.
    return MachineCheck("virtualization", True, f"{how}. {chosen.reason}")


def _port() -> MachineCheck:
    try:
        return MachineCheck("port", True, f"ports on {ports.LOOPBACK} are available, for example {ports.free()}")
    except OSError as error:
        return MachineCheck(
            "port", False, f"no port available on {ports.LOOPBACK}: {error}", "Bring the loopback interface up."
        )


def _mirror() -> MachineCheck:
    mirror = Mirror.of_host()
    address = mirror.address("debian", f"dists/{lockfile.load('base').suite}/InRelease")
    try:
        with urllib.request.urlopen(address, timeout=_MIRROR_SECONDS) as answer:
            answer.read(1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        return MachineCheck("mirror", False, f"the Debian mirror does not respond: {reason(error)}", ADVICE)
    return MachineCheck("mirror", True, "the Debian mirror responds")


def _shell() -> MachineCheck:
    path = paths.state() / paths.ENVIRONMENT
    if not path.exists():
        return MachineCheck("shell", False, ".cloister/env does not exist", "Create it: invoke setup")
    return MachineCheck("shell", True, f"{path} exists, for calling pulumi directly")
