"""Workspaces through the real Pulumi engine: its own state, the real provider process, a stand-in for QEMU only."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloister.protocol.descriptor import Descriptor
from infra import engine as engines
from infra import environment, layout, stack

STANDIN = Path(__file__).parent / "standin" / "provider.py"
STACK = "lab"
SECONDS = 120


@dataclass
class Project:
    """A copy of the project's Pulumi.yaml whose provider is the one with the stand-in."""

    folder: Path
    state: Path
    environment: dict[str, str]

    def pulumi(self, *words: str, good: bool = True) -> str:
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is good, done.stdout
        return done.stdout

    def up(self, **expected: int) -> str:
        """``pulumi up``; ``expected`` are the counts of operations, as the engine's own event log has them."""
        said = self.pulumi("up", "--yes", "--skip-preview", "--json")
        changes = [json.loads(line) for line in said.splitlines() if "resourceChanges" in line]
        assert changes[-1]["summaryEvent"]["resourceChanges"] == expected, said
        return said

    def machine(self) -> dict[str, Any]:
        resources = json.loads(self.pulumi("stack", "export"))["deployment"]["resources"]
        return next(one["outputs"] for one in resources if one["type"].endswith(":Cvm"))


@pytest.fixture
def project(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = engines.find()
    if found is None:
        pytest.skip("There is no Pulumi engine on this machine: invoke setup")
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STANDIN", "ready")
    environment.write(found)

    folder = tmp_path / "project"
    (folder / "provider").mkdir(parents=True)
    plugin = folder / "provider" / "pulumi-resource-cloister-local"
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{STANDIN}" "$@"\n')
    plugin.chmod(0o755)
    text = (layout.CHECKOUT / "infra" / "Pulumi.yaml").read_text()
    assert "virtualenv: ../.venv" in text
    (folder / "Pulumi.yaml").write_text(text.replace("virtualenv: ../.venv", f"virtualenv: {sys.prefix}"))
    (folder / "__main__.py").write_text("import runpy\n\nrunpy.run_module('infra')\n")
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    value = {
        "backend": "local",
        "image": str(image),
        "members": [
            {
                "name": "lab",
                "key": base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
                "roles": ["owner"],
            }
        ],
        "cvms": [{"name": "trainer", "memory": "1GiB"}],
    }
    made = Project(folder, tmp_path / "state", {**os.environ, **environment.variables(found)})
    made.pulumi("stack", "init", STACK)
    configuration = folder / f"Pulumi.{STACK}.yaml"
    settings = yaml.safe_load(configuration.read_text()) | {"config": {stack.KEY: value}}
    configuration.write_text(yaml.safe_dump(settings))
    return made


def nothing_is_left(project: Project) -> None:
    assert not (project.state / STACK).exists()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert not Path(os.readlink(process / "cwd")).is_relative_to(project.state.resolve())
        except OSError:
            continue


def test_a_workspace_from_up_to_destroy(project: Project):
    project.up(create=4)
    first = project.machine()
    outputs = json.loads(project.pulumi("stack", "output", "--json"))
    descriptor = Descriptor.from_value(outputs["descriptor"])
    assert [(cvm.name, cvm.endpoint) for cvm in descriptor.cvms] == [("trainer", first["endpoint"])]
    assert "PRIVATE" not in project.pulumi("stack", "export")

    project.up(same=4)

    os.kill(first["process"]["pid"], signal.SIGKILL)
    project.up(replace=1, same=3)
    second = project.machine()
    assert second["process"] != first["process"]
    assert second["endpoint"] == first["endpoint"]

    # Without its key an authority is worth nothing, and neither is what it certified.
    (project.state / STACK / "authority" / "key.pem").unlink()
    project.up(create=1, replace=1, same=2)
    assert project.machine()["authority"] != second["authority"]

    project.pulumi("destroy", "--yes", "--skip-preview")
    nothing_is_left(project)


def test_an_interrupted_up_leaves_no_machine_and_the_next_one_is_fine(project: Project):
    environment = project.environment | {"STANDIN": "silent"}
    log = project.folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
            cwd=project.folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    milestones = project.state / STACK / "trainer" / "milestones.log"
    while not milestones.exists() and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) != 0
    assert "Starting the CVM 'trainer' was stopped." in log.read_text()
    assert not milestones.parent.exists()

    project.up(create=1, same=3)
    project.pulumi("destroy", "--yes", "--skip-preview")
    nothing_is_left(project)


def test_a_killed_engine_leaves_no_machine(project: Project):
    process = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.folder,
        env=project.environment | {"STANDIN": "silent"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = project.state / STACK / "trainer"
    while not (folder / "milestones.log").exists() and process.poll() is None:
        os.sched_yield()
    process.kill()
    process.wait()
    while folder.exists():
        os.sched_yield()
    shutil.rmtree(project.state / ".pulumi" / "locks", ignore_errors=True)
    project.pulumi("destroy", "--yes", "--skip-preview")
    nothing_is_left(project)


def test_a_wrong_configuration_is_a_sentence_and_no_traceback(project: Project):
    project.pulumi("config", "set", "--path", f"{stack.KEY}.cvms[0].memory", "lots")
    said = project.pulumi("preview", good=False)
    assert "workspace.cvms[0].memory: 'lots' is not a size; write for example 4GiB or 1536MiB." in said
    assert "Traceback" not in said
    assert "unhandled" not in said


def test_an_unfinished_run_fails_the_preview_unless_forced(project: Project):
    project.environment["STANDIN"] = "unfinished"
    project.up(create=4)
    project.pulumi("config", "set", "--path", f"{stack.KEY}.cvms[0].vcpus", "1")
    assert "its run is unfinished" in project.pulumi("preview", good=False)
    project.environment["CLOISTER_FORCE"] = "1"
    project.up(replace=1, same=3)
    project.pulumi("destroy", "--yes", "--skip-preview")
    nothing_is_left(project)
