"""Pulumi projects with stand-ins for the clouds: the real engine, program and SDKs, and a world in a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.infra.clouds import forkserver, world
from tests.infra.clouds.schema import PACKAGES
from tests.infra.project import Project

PROGRAM = Path(__file__).parent / "__main__.py"
PROVIDER = Path(__file__).parents[3] / "infra" / "provider"
SETTINGS = {"pulumi:disable-default-providers": sorted(PACKAGES)}
"""The stack's settings besides the workspace: default providers are disabled."""


def plugins(folder: Path) -> dict[str, Path]:
    """Creates the plugins' executables below ``folder``. Returns the folder of each, by cloud."""
    found = {}
    for package in PACKAGES:
        path = folder / "plugins" / package / f"pulumi-resource-{package}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {forkserver.command()} "{PROGRAM}" {package}\n')
        path.chmod(0o755)
        found[package] = path.parent
    return found


def create(
    folder: Path, name: str, value: Mapping[str, Any], *, further: Mapping[str, Path] | None = None, **program: str
) -> Project:
    """A project as from ``Project.create``, in an empty cloud (``world.json``), or one that other projects below
    ``folder`` have used. ``further`` are the folders of other plugins, by their names.
    """
    made = Project.create(
        folder,
        name,
        value,
        provider=PROVIDER,
        settings=SETTINGS,
        plugins={**plugins(folder), **(further or {})},
        runner=forkserver.command(),
        **program,
    )
    # The SDKs are large: their byte code is written, even where the caller's shell says otherwise.
    made.environment |= {world.VARIABLE: str(folder / "world.json"), "PYTHONDONTWRITEBYTECODE": ""}
    return made
