"""Processes are ended, and waited for, before the machine is."""

import os
import subprocess
from pathlib import Path

import pytest

from agent_runtime.runner.ending import kill, parent_of


def test_a_shell_and_what_it_waits_for_end_without_the_next_command(tmp_path: Path) -> None:
    """As the shell that would power the machine off when the agent ends."""
    script = 'echo "$$" >shell; sleep 600 & echo $! >agent; : >ready; wait; : >powered-off'
    with subprocess.Popen(["sh", "-c", script], cwd=tmp_path) as shell:
        while not (tmp_path / "ready").exists():
            os.sched_yield()
        agent = int((tmp_path / "agent").read_text())
        assert parent_of(agent) == shell.pid
        kill(parent_of(agent), agent)
        assert shell.wait() == -9
    assert not Path(f"/proc/{agent}/cmdline").exists() or not Path(f"/proc/{agent}/cmdline").read_bytes()
    assert not (tmp_path / "powered-off").exists()


def test_a_process_that_is_not_there_is_an_error() -> None:
    with subprocess.Popen(["true"]) as done:
        done.wait()
    with pytest.raises(OSError, match=r"No such (process|file)"):
        kill(parent_of(done.pid), done.pid)
