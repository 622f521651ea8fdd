"""Processes that outlive the provider are known again, and only they are ended."""

import subprocess
import sys
from pathlib import Path

from infra.processes import Process, start, working_in

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()", "qemu-system-x86_64"]


def test_reused_process_id_is_another_process(tmp_path: Path):
    child = start(SLEEPER, tmp_path, "log", {})
    process = Process.of(child.pid)
    assert process is not None and process.alive()
    other = Process(process.pid, process.started + 1)
    assert not other.alive()
    other.end()
    assert process.alive()
    process.end()
    assert not process.alive()


def test_unreaped_process_is_not_alive(tmp_path: Path):
    child = subprocess.Popen(["true"])
    import os

    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Process.of(child.pid) is None
    child.wait()


def test_machine_is_found_by_its_folder_and_a_shell_there_is_not(tmp_path: Path):
    machine = start(SLEEPER, tmp_path, "log", {})
    shell = start([sys.executable, "-c", "import signal; signal.pause()"], tmp_path, "log", {})
    found = working_in(tmp_path.resolve(), ("qemu-system-x86_64",))
    assert [process.pid for process in found] == [machine.pid]
    for child in (machine, shell):
        child.kill()
        child.wait()


def test_started_process_has_its_own_session(tmp_path: Path):
    import os

    child = start(SLEEPER, tmp_path, "log", {})
    assert os.getsid(child.pid) == child.pid
    assert os.readlink(f"/proc/{child.pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{child.pid}/fd/1") == str(tmp_path / "log")
    child.kill()
    child.wait()
