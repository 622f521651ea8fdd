"""Locks: a second verb names the holder, and a killed verb blocks no other."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.live import workspaces
from infra.pulumi_cli import lock
from infra.pulumi_cli import project as pulumi


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the locks on the stack ``lab`` lie; a ``pulumi`` that does nothing."""
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\necho "$@" >"$0.words"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "a state").as_uri())
    monkeypatch.setattr(pulumi, "_environment", lambda: dict(os.environ))
    monkeypatch.setattr(workspaces, "PROJECT", replace(workspaces.PROJECT, folder=tmp_path))
    (tmp_path / "Pulumi.yaml").write_text("name: cloister\n")
    found = tmp_path / "a state" / ".pulumi" / "locks" / "organization" / "cloister" / "lab"
    found.mkdir(parents=True)
    return found


def left(folder: Path, content: object) -> Path:
    path = folder / "0123.json"
    path.write_text(json.dumps(content))
    return path


def content(pid: object, host: str = "") -> dict[str, object]:
    return {
        "pid": pid,
        "username": "ada",
        "hostname": host or socket.gethostname(),
        "timestamp": "2026-01-01T00:00:00Z",
    }


def ended() -> int:
    """The id of a process that was there."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_lock_of_an_ended_process_is_removed(folder: Path, capsys: pytest.CaptureFixture[str]):
    path = left(folder, content(pid := ended()))
    workspaces.PROJECT.hand_over("up", "--stack", "lab", "--yes")
    assert not path.exists()
    said = f"Removed the lock that a killed verb (process {pid} of ada) left on the workspace lab.\n"
    assert capsys.readouterr().err == said


def test_unreaped_process_counts_as_ended(folder: Path):
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert lock.StackLock.read(left(folder, content(process.pid))).is_left_behind()


@pytest.mark.parametrize(
    ("content", "who", "way"),
    [
        (content(os.getpid()), f" (process {os.getpid()} of ada)", "Wait until it has ended. If it hangs, end it"),
        (content(ended(), "another"), " on another)", "&& pulumi cancel lab"),
        (content(0), "'lab'.", "&& pulumi cancel lab"),
        (content(-1), "'lab'.", "&& pulumi cancel lab"),
        (content(True), "'lab'.", "&& pulumi cancel lab"),
        (content(1 << 80), f"process {1 << 80}", "Wait until it has ended."),
        (["pid"], "'lab'.", "&& pulumi cancel lab"),
    ],
    ids=["alive", "another-machine", "zero", "negative", "boolean", "too-large", "not-an-object"],
)
def test_any_other_lock_stays_and_nothing_starts(folder: Path, content: object, who: str, way: str):
    path = left(folder, content)
    with pytest.raises(pulumi.BusyError) as caught:
        workspaces.PROJECT.hand_over("up", "--stack", "lab", "--yes")
    assert caught.value.message.startswith("Another verb is changing the workspace 'lab'")
    assert who in caught.value.message
    assert way in caught.value.hint
    assert path.exists()
    assert list(workspaces.PROJECT.folder.glob("pulumi.words")) == []


def test_locks_of_other_stacks_are_kept(folder: Path):
    path = left(folder, content(ended()))
    workspaces.PROJECT.hand_over("up", "--stack", "other", "--yes")
    assert path.exists()


def test_lock_that_only_pulumi_sees_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch):
    program = workspaces.PROJECT.folder / "pulumi"
    program.write_text("#!/bin/sh\necho 'error: the stack is currently locked by 1 lock(s).' >&2; exit 255\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    with pytest.raises(pulumi.BusyError) as caught:
        workspaces.PROJECT.hand_over("up", "--stack", "lab", "--yes")
    assert caught.value.message == "Another verb is changing the workspace 'lab'."
