"""Time to preview a workspace in each cloud and on this machine, and to import each backend.

Engine, program and SDKs are real; the tests' stand-ins replace the clouds. A preview creates nothing.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measurement import CHECKOUT, INSTALLED, BenchmarkResult, seconds
from tests.infra.clouds import project, workspaces
from tests.infra.project import Project

BACKENDS = ("local", "azure", "gcp")
_LOCAL_CVMS = [{"name": name, "vcpus": 2, "memory": "1GiB"} for name in ("trainer", "scorer")]
_TARGETS = {"azure": 15.0, "gcp": 15.0}
_WHAT = {"local": "a workspace on this machine", "azure": "one in Azure", "gcp": "one in Google Cloud"}


def measure(repeat: int) -> list[BenchmarkResult]:
    """Previews of two CVMs and imports of the backends, one of each in turn so that all run under the same load."""
    with tempfile.TemporaryDirectory() as folder:
        made = {backend: _project(Path(folder) / backend, backend) for backend in BACKENDS}
        code = INSTALLED | {"PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
        previews: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
        imports: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
        for run in range(repeat + 1):
            for backend in BACKENDS:
                took = _preview(made[backend], code), _import(backend, code)
                if run:  # the first run compiles what it imports
                    previews[backend].append(took[0])
                    imports[backend].append(took[1])
    return [
        *(
            BenchmarkResult(
                f"`pulumi preview` of {_WHAT[backend]}, two CVMs",
                tuple(previews[backend]),
                "s",
                _TARGETS.get(backend),
                "wall time; stand-ins for the clouds" if backend in _TARGETS else "wall time; the baseline",
            )
            for backend in BACKENDS
        ),
        *(
            BenchmarkResult(
                f"import of the backend `{backend}`",
                tuple(imports[backend]),
                "s",
                None,
                "a new process; with the cloud's SDK"
                if backend in _TARGETS
                else "a new process; without any cloud's SDK",
            )
            for backend in BACKENDS
        ),
    ]


def _project(folder: Path, backend: str) -> Project:
    folder.mkdir()
    image = workspaces.manifest(folder)
    if backend != "local":
        return workspaces.create(folder, workspaces.value(backend, image), image)
    members = [{"name": "lab", "key": workspaces.key(), "roles": ["owner"]}]
    value: dict[str, Any] = {"backend": backend, "image": str(image), "members": members, "cvms": _LOCAL_CVMS}
    return Project.create(folder, "lab", value, provider=project.PROVIDER)


def _preview(made: Project, also: dict[str, str]) -> float:
    return seconds(["pulumi", "preview", "--cwd", made.folder, "--non-interactive"], made.environment | also)


def _import(backend: str, also: dict[str, str]) -> float:
    argv = [sys.executable, "-P", "-c", f"import infra.backends.{backend}"]
    return seconds(argv, {"PYTHONPATH": str(CHECKOUT), **also})
