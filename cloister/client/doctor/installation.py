"""The checks of this machine: Python, packages, clock, output, cache, namespaces."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from cloister import usercache
from cloister.client.files import state
from cloister.client.history import reading as history
from cloister.errors import InputError
from cloister.machinecheck import NotChecked
from cloister.units import format_size

_PYTHON = (3, 11)
_SPACE = 1 << 30
_RELEASED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""No correct clock shows an earlier time than that of the first version."""
_USERNS = (
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts user namespaces"),
)


def check_python() -> str:
    """Whether Python is new enough. Raises InputError."""
    if sys.version_info < _PYTHON:
        raise InputError(
            f"Python {platform.python_version()} is too old, expected 3.11 or newer.",
            hint="Install a newer one, and cloister with it.",
        )
    return f"{platform.python_version()} on {platform.system()}"


def check_packages() -> str:
    """Whether the packages are those that cloister asks for: another installation may have replaced them.

    Raises InputError.
    """
    wrong = []
    for text in importlib.metadata.requires("cloister") or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            found = ""
        if not found or not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name} {found or 'missing'} (expected {wanted.specifier or 'any version'})")
    if wrong:
        raise InputError(
            f"Packages differ from what cloister needs: {', '.join(wrong)}.",
            hint="Install cloister in a virtual environment of its own: python3 -m venv cloister-env",
        )
    return f"cloister {importlib.metadata.version('cloister')} and what it needs"


def check_clock() -> str:
    """Whether the clock can be right. Raises InputError."""
    now = datetime.datetime.now(datetime.UTC)
    if now < _RELEASED:
        raise InputError(
            f"This machine's clock shows {now:%Y-%m-%d}, a day before cloister existed.",
            hint="Set the clock: certificates are judged by it.",
        )
    return f"{now:%Y-%m-%d %H:%M} UTC"


def check_output() -> str:
    """Whether names of other parties can be shown. Raises InputError."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    if encoding != "utf8":
        raise InputError(
            f"Output is in the encoding {encoding or 'unknown'}: names with other letters cannot be shown.",
            hint="Set PYTHONUTF8=1, or a locale such as C.UTF-8.",
        )
    return "UTF-8"


def check_cache() -> str:
    """Whether the cache can be written and has room. Raises InputError."""
    root = usercache.root()
    place = next(one for one in (root, *root.parents) if one.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(
            f"The cache {root} cannot be written.",
            hint="Set XDG_CACHE_HOME to a folder of yours, or correct its owner.",
        )
    if (free := shutil.disk_usage(place).free) < _SPACE:
        raise InputError(
            f"The disk of the cache {root} has {format_size(free)} left, expected at least {format_size(_SPACE)}.",
            hint="Free some space, or set XDG_CACHE_HOME to a folder on another disk.",
        )
    return str(root)


def check_state() -> str:
    """Whether the client can remember, and no one else can change what it remembers. Raises InputError."""
    kept = state.folder("history").parent
    place = next(one for one in (kept, *kept.parents) if one.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise InputError(
            f"What the client remembers cannot be written to {kept}.",
            hint="Set XDG_STATE_HOME to a folder of yours, or correct its owner.",
        )
    if kept.exists():
        state.require_unshared(kept)
    return f"{kept}, where {len(history.read_history())} workspaces are remembered"


def check_trials(settings: Sequence[tuple[str, str, str]] = _USERNS) -> str:
    """Whether `try` can run. Never wrong, since nothing else needs namespaces: raises NotChecked."""
    if platform.system() != "Linux":
        raise NotChecked("`try` runs on Linux only; all other verbs run here")
    for path, value, said in settings:
        try:
            found = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if found == value and os.geteuid() != 0:
            raise NotChecked(f"`try` will not run here, because {said}; all other verbs do")
    return "`try` may make its namespaces"
