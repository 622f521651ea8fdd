"""How an operation of Pulumi's ends on a terminal, where it reads the keyboard itself."""

import os
import signal
from pathlib import Path

import pytest

from infra import paths
from infra.pulumi_cli import operation
from tests.infra import terminal
from tests.infra.project import Project

CTRL_C = b"\x03"


def typed(project: Project, *words: str, shown: str, keys: bytes) -> tuple[int, str]:
    environment = project.environment | {"TERM": "xterm", "PYTHONPATH": str(paths.CHECKOUT)}
    return terminal.verb(["workspace.up", *words], project.folder, environment, shown, keys)


@pytest.mark.engine
def test_ctrl_c_while_a_machine_starts_is_an_interruption_and_leaves_nothing_of_it(project: Project):
    project.environment["STANDIN"] = "silent"
    code, said = typed(project, "--yes", shown="root file system verified", keys=CTRL_C)
    assert code == 130, said
    assert "Interrupted. A CVM that was starting was removed; run the same command again to start it." in said
    assert "Error: " not in said
    assert not (project.state / project.stack / "trainer").exists()


@pytest.mark.engine
@pytest.mark.parametrize(("keys", "ends", "says"), [(b"\r", 0, "Nothing was changed."), (CTRL_C, 130, "Interrupted. ")])
def test_declining_is_not_an_error(project: Project, keys: bytes, ends: int, says: str):
    # Below the question stand yes, no and details, and no is chosen.
    code, said = typed(project, shown="details", keys=keys)
    assert (code, says in said, "Error: " in said) == (ends, True, False), said
    assert "Workspace lab is up" not in said


def test_stderr_of_pulumi_is_shown_without_waiting_for_its_children(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    said = "é" * 5000
    program = tmp_path / "pulumi"
    # What it leaves running holds its standard error; the test's own end ends that.
    program.write_text(f"#!/bin/sh\nprintf '%s' 'x{said}' >&2; sleep 600 & echo $! >left\n")
    program.chmod(0o755)
    done = operation.perform(["stack"], tmp_path, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert done == operation.OperationResult(0, f"x{said}", interrupted=False, declined=False)
    assert capsys.readouterr().err == f"x{said}"


@pytest.mark.parametrize("broken", ["", '{"stdoutEvent": {"message": "^C rec', "[]\nnull\n"])
def test_unreadable_event_log_is_ignored(tmp_path: Path, broken: str):
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{broken}' >\"$3\"; echo error: no >&2; exit 1\n")
    program.chmod(0o755)
    done = operation.perform(["up"], tmp_path, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done == operation.OperationResult(1, "error: no\n", interrupted=False, declined=False)
