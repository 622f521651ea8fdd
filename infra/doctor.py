"""Whether this machine has what the platform team needs, each with what to do about it."""

import functools
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cloister.errors import CloisterError
from image import cache
from image.debian.mirror import ADVICE, Mirror
from image.inputs import host_tools, lockfile
from infra import paths
from infra.configuration import cloud
from infra.provider.qemu import accelerator, ports
from infra.pulumi_cli import engine

_GIBIBYTE = 1 << 30
_DISK = 6 * _GIBIBYTE
_MEMORY = 5 * _GIBIBYTE
_MIRROR_SECONDS = 5.0
_PACKAGES = ("pulumi", "grpcio", "protobuf", "cryptography", "invoke")
_PYTHON = (3, 11)


@dataclass(frozen=True)
class MachineCheck:
    """One look at the machine. ``remedy`` is empty when ``good``."""

    name: str
    good: bool
    found: str
    remedy: str = ""


def examine() -> list[MachineCheck]:
    """All findings, in the order in which one would mend them."""
    looks = {
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
    return [_look(name, look) for name, look in looks.items()]


def _look(name: str, look: Callable[[], MachineCheck]) -> MachineCheck:
    try:
        return look()
    except CloisterError as error:
        return MachineCheck(name, False, error.message, error.hint or error.remedy)


def _machine() -> MachineCheck:
    found = f"{platform.system()} on {platform.machine()}"
    good = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return MachineCheck("machine", good, found, "" if good else "The image and its tools are for Linux on x86-64.")


def _python() -> MachineCheck:
    good = sys.version_info >= _PYTHON
    return MachineCheck(
        "python", good, platform.python_version(), "" if good else "Install Python 3.11 or newer, then: make"
    )


def _packages() -> MachineCheck:
    found, missing = _installed(_PACKAGES)
    text = ", ".join(found) + (f"; without {', '.join(missing)}" if missing else "")
    return MachineCheck("packages", not missing, text, "Install the checkout's packages: make venv" if missing else "")


def _cloud(backend: str) -> MachineCheck:
    """What only workspaces in one cloud need. Nothing is wrong without it, and nobody is asked whether one may sign in
    there.
    """
    extra = re.compile(rf"([A-Za-z0-9._-]+).*;.*\bextra == ['\"]{backend}['\"]")
    wanted = [found[1] for one in importlib.metadata.requires("cloister") or () if (found := extra.match(one))]
    found, missing = _installed(wanted)
    if missing:
        return MachineCheck(backend, True, f"without {', '.join(missing)}; for workspaces there, type: make {backend}")
    return MachineCheck(backend, True, ", ".join(found))


def _installed(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The packages of ``names`` that are there, with their versions, and the names of the others."""
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
        "" if free >= _MEMORY else "A CVM takes 4 GiB unless told otherwise; `memory: 2GiB` is enough for the demo."
    )
    return MachineCheck("memory", free >= _MEMORY, f"{free / _GIBIBYTE:.1f} GiB are free", remedy)


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
        return MachineCheck(
            "engine", False, "no Pulumi engine", "Fetch or build it, 1 to 6 minutes, once: invoke setup"
        )
    return MachineCheck("engine", True, f"Pulumi {found.version} from {found.source} ({found.folder})")


def _tools() -> MachineCheck:
    found = host_tools.find()
    if found is None:
        return MachineCheck(
            "host tools", False, "QEMU, swtpm and OVMF are not here yet", "Fetch them, 50 MB: invoke setup"
        )
    # Raises for a folder whose name one of them cannot take.
    found.argv("swtpm_setup")
    return MachineCheck("host tools", True, f"unpacked in {found.root}")


def _virtualization() -> MachineCheck:
    found = host_tools.find()
    if found is None:
        return MachineCheck("virtualization", False, "cannot be tried without the host tools", "invoke setup")
    chosen = accelerator.choose(found)
    how = "KVM" if chosen.name == "kvm" else "emulated, a boot takes about 20 s"
    # Emulation is slower, not wrong.
    return MachineCheck("virtualization", True, f"{how}. {chosen.reason}")


def _port() -> MachineCheck:
    try:
        return MachineCheck("port", True, f"{ports.LOOPBACK} gives ports, for example {ports.free()}")
    except OSError as error:
        return MachineCheck(
            "port", False, f"{ports.LOOPBACK} gives no port: {error}", "Bring the loopback interface up."
        )


def _mirror() -> MachineCheck:
    mirror = Mirror.of_host()
    address = mirror.address("debian", f"dists/{lockfile.load('base').suite}/InRelease")
    try:
        with urllib.request.urlopen(address, timeout=_MIRROR_SECONDS) as answer:
            answer.read(1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        return MachineCheck("mirror", False, f"the Debian mirror does not answer: {error}", ADVICE)
    return MachineCheck("mirror", True, "the Debian mirror answers")


def _shell() -> MachineCheck:
    path = paths.state() / paths.ENVIRONMENT
    if not path.exists():
        return MachineCheck("shell", False, "there is no .cloister/env yet", "Write it: invoke setup")
    return MachineCheck("shell", True, f"{path} for those who type pulumi themselves")
