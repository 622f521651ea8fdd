"""Processes are ended, and waited for, before the machine is."""

import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent_runtime.runner import ending
from agent_runtime.runner.ending import MachineEnd, kill, parent_of
from agent_runtime.runner.protocol import RunnerOperation


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", ["ends", "fails", "never returns"])
def test_the_machine_ends_whatever_the_run_does(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Its disk is the host's, which may never answer."""
    done: list[object] = []
    stuck = threading.Event()

    def end_run() -> None:
        done.append(how)
        if how == "fails":
            raise ValueError("a place was unmounted twice")
        if how == "never returns":
            stuck.wait()

    machine = SimpleNamespace(reboot=lambda how: done.append(hex(how)))
    monkeypatch.setattr(ending, "ctypes", SimpleNamespace(CDLL=lambda *_, **__: machine))
    monkeypatch.setattr(ending, "parent_of", lambda agent: agent + 1)
    monkeypatch.setattr(ending, "kill", lambda *processes: done.append(processes))
    monkeypatch.setattr(ending, "unmount", done.append)
    monkeypatch.setattr(ending, "_RUN_SECONDS", 0.05)
    MachineEnd(end_run, Path("/store"))(RunnerOperation.REBOOT, 7)
    stuck.set()
    assert done == [how, (8, 7), Path("/store"), "0x1234567"]
