"""Pulumi projects whose clouds are stand-ins: the real engine, program and SDKs, and a world that is a file."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.infra.clouds import world
from tests.infra.clouds.schema import PACKAGES
from tests.infra.project import Project

PROGRAM = Path(__file__).parent / "__main__.py"
PROVIDER = Path(__file__).parents[3] / "infra" / "provider"
SETTINGS = {"pulumi:disable-default-providers": sorted(PACKAGES)}
"""What the configuration of a stack in a cloud has beside the workspace: no provider but the declared one."""


def plugins(folder: Path) -> dict[str, Path]:
    """The plugins' executables, made below ``folder``; the folder of each by its cloud."""
    found = {}
    for package in PACKAGES:
        path = folder / "plugins" / package / f"pulumi-resource-{package}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{PROGRAM}" {package}\n')
        path.chmod(0o755)
        found[package] = path.parent
    return found


def create(folder: Path, name: str, value: Mapping[str, Any], **program: str) -> Project:
    """A project as ``Project.create`` makes one, in clouds that hold nothing yet (``world.json``) unless another
    project below ``folder`` has put something there.
    """
    made = Project.create(folder, name, value, provider=PROVIDER, settings=SETTINGS, plugins=plugins(folder), **program)
    made.environment |= {
        world.VARIABLE: str(folder / "world.json"),
        # The SDKs hold megabytes of code. All projects of a run share its byte code, also where none may be written.
        "PYTHONPYCACHEPREFIX": str(_of_run(folder) / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    return made


def _of_run(folder: Path) -> Path:
    """The temporary folder of the whole run, above those of pytest-xdist's processes (``popen-gw0``)."""
    return folder.parents[1] if folder.parent.name.startswith("popen-") else folder.parent
