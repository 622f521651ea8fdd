"""A team's own Pulumi program in a folder of its own, with the programs of docs/pulumi.md."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from infra import paths
from tests.infra.clouds import forkserver, workspaces
from tests.infra.project import Project

PAGE = paths.CHECKOUT / "docs" / "pulumi.md"
SDK = paths.CHECKOUT / "pulumi_cloister"
PLUGIN = "pulumi-resource-cloister"
STACK = "dev"
NAME = "research-platform"
WORKSPACE = "covid-consortium"


def examples(language: str) -> list[str]:
    """The blocks of ``language`` on the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def example(language: str, contains: str) -> str:
    """The only one of those that contains a text."""
    (found,) = [text for text in examples(language) if contains in text]
    return found


def adopt(made: Project, program: str, settings: Mapping[str, object] | None = None) -> None:
    """Turn a project of this checkout into a team's: its name, a stack, a program, and the members' keys."""
    declared = yaml.safe_load((made.folder / "Pulumi.yaml").read_text())
    declared["name"] = NAME
    del declared["description"]
    (made.folder / "Pulumi.yaml").write_text(yaml.safe_dump(declared))
    for file in made.folder.glob("Pulumi.*.yaml"):
        file.unlink()
    made.pulumi("stack", "init", STACK)
    made.stack = STACK
    path = made.folder / f"Pulumi.{STACK}.yaml"
    written = yaml.safe_load(path.read_text())
    config = {f"{NAME}:{key}": value for key, value in (settings or {}).items()}
    path.write_text(yaml.safe_dump(written | {"config": config}))
    (made.folder / "__main__.py").write_text(program)
    (made.folder / "keys").mkdir()
    for member in ("lab", "hospital-1"):
        (made.folder / "keys" / f"{member}.pub").write_text(workspaces.key())


def use(made: Project, site: Path) -> None:
    """Let the program import the packages in ``site``."""
    path = made.environment.get("PYTHONPATH")
    made.environment["PYTHONPATH"] = f"{site}{os.pathsep}{path}" if path else str(site)


def executable(folder: Path, name: str, words: str) -> Path:
    """Write an executable into a folder of its own, which is returned."""
    path = folder / name / name
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path.parent


def component(folder: Path) -> Path:
    """The folder of the component's plugin. A fork that has the SDKs of the clouds runs it."""
    words = f'{forkserver.command()} "{paths.CHECKOUT / "infra" / "component" / "__main__.py"}"'
    return executable(folder, PLUGIN, words)
