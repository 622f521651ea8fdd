"""Workspaces through the real Pulumi engine: its own state, the real provider process, a stand-in for QEMU only."""

import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.errors import InputError
from cloister.protocol.descriptor import Descriptor
from infra.live import workspaces
from infra.processes import working_in
from infra.pulumi_cli import project as pulumi
from tests.infra.project import SECONDS, STACK, Project, wait_for


@pytest.mark.engine
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
    assert project.nothing_is_left()


@pytest.mark.engine
def test_interrupted_up_leaves_no_machine_and_the_next_succeeds(project: Project):
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
    wait_for(lambda: milestones.exists() or process.poll() is not None, "the machine starts")
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) != 0
    assert "Starting the CVM 'trainer' was cancelled." in log.read_text()
    assert not milestones.parent.exists()

    project.up(create=1, same=3)
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.nothing_is_left()


@pytest.mark.rare
@pytest.mark.engine
def test_killed_engine_leaves_no_machine(project: Project):
    process = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.folder,
        env=project.environment | {"STANDIN": "silent"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = project.state / STACK / "trainer"
    wait_for(lambda: (folder / "milestones.log").exists() or process.poll() is not None, "the machine starts")
    process.kill()
    process.wait(SECONDS)
    # Pulumi's own language host does not notice; this is not part of the test.
    for host in working_in(project.folder, ("pulumi-language-python",)):
        host.end()
    wait_for(lambda: not folder.exists(), "the machine is gone")
    shutil.rmtree(project.state / ".pulumi" / "locks", ignore_errors=True)
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.nothing_is_left()


@pytest.mark.parametrize(("said", "raised"), [("kill -INT $PPID;", KeyboardInterrupt), ("", pulumi.StackError)])
def test_pulumi_that_ends_after_ctrl_c_is_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, raised: type[BaseException]
):
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\n{said} exit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(pulumi, "_environment", lambda: dict(os.environ))
    with pytest.raises(raised):
        workspaces.PROJECT.hand_over("up", "--yes")


@pytest.mark.parametrize("verb", [lambda: workspaces.PROJECT.hand_over("up", "--yes"), workspaces.PROJECT.names])
def test_full_disk_is_reported_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable[[], object]):
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\necho error: write locks: no space left on device >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(pulumi, "_environment", lambda: dict(os.environ))
    with pytest.raises(pulumi.StackError) as caught:
        verb()
    assert caught.value.exit_code == 2
    assert caught.value.hint.startswith("A disk is full. Free space below ")


@pytest.mark.parametrize("word", ["up", "destroy"])
def test_without_a_terminal_nothing_starts(monkeypatch: pytest.MonkeyPatch, word: str):
    """Pulumi would say so too, in many lines and after it has started."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(InputError, match="there is no terminal") as caught:
        workspaces.PROJECT.hand_over(word, "--stack", STACK)
    assert (caught.value.hint, caught.value.exit_code) == ("Pass --yes to confirm.", 2)


@pytest.mark.parametrize("taken", [True, False])
def test_taken_name_differs_from_a_failing_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool):
    program = tmp_path / "pulumi"
    listed = json.dumps([{"name": STACK, "current": True}] if taken else [])
    program.write_text(f"#!/bin/sh\n[ $2 = ls ] && echo '{listed}' || {{ echo error: no >&2; exit 255; }}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(pulumi, "_environment", lambda: dict(os.environ))
    says = f"The workspace '{STACK}' already exists." if taken else "pulumi stack init: no"
    with pytest.raises(InputError if taken else pulumi.StackError) as caught:
        workspaces.PROJECT.create(STACK)
    assert caught.value.message == says


@pytest.mark.parametrize(("backend", "fetched"), [("local", False), ("azure", True)])
def test_local_stack_fetches_no_cloud_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, fetched: bool
):
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\nenv >"$0.environment"\n')
    program.chmod(0o755)
    settings = {"config": {workspaces.KEY: {"backend": backend}}}
    (tmp_path / f"Pulumi.{STACK}.yaml").write_text(json.dumps(settings))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", raising=False)
    monkeypatch.setattr(pulumi, "_environment", lambda: dict(os.environ))
    monkeypatch.setattr(workspaces, "PROJECT", replace(workspaces.PROJECT, folder=tmp_path))
    workspaces.PROJECT.hand_over("up", "--stack", STACK, "--yes", also={"CLOISTER_FORCE": "1"})
    said = (tmp_path / "pulumi.environment").read_text()
    assert "CLOISTER_FORCE=1" in said
    assert ("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=1" not in said) is fetched


@pytest.mark.engine
def test_invalid_configuration_is_reported_without_traceback(project: Project):
    project.pulumi("config", "set", "--path", f"{workspaces.KEY}.cvms[0].memory", "lots")
    said = project.pulumi("preview", good=False)
    assert "workspace.cvms[0].memory: invalid size 'lots'; write for example 4GiB or 1536MiB." in said
    assert "Traceback" not in said
    assert "unhandled" not in said


@pytest.mark.rare
@pytest.mark.engine
def test_unfinished_run_fails_the_preview_unless_forced(project: Project):
    project.environment["STANDIN"] = "unfinished"
    project.up(create=4)
    project.pulumi("config", "set", "--path", f"{workspaces.KEY}.cvms[0].vcpus", "1")
    assert "its run is unfinished" in project.pulumi("preview", good=False)
    project.environment["CLOISTER_FORCE"] = "1"
    project.up(replace=1, same=3)
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.nothing_is_left()
