"""What a trial measures of processes that make themselves hard to measure."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime.trial import meter
from agent_runtime.trial.meter import Meter

HELD = 32 << 20
NAMED = """
import sys
open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[1]))
held = b"x" * int(sys.argv[2])
"""
WITHOUT_FIRST_THREAD = """
import ctypes, os, sys, threading
def hold():
    held = b"x" * int(sys.argv[2])
    while b"State:\\tZ" not in open(f"/proc/{os.getpid()}/status", "rb").read():
        pass
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=hold).start()
ctypes.CDLL(None).pthread_exit(None)
"""
WAIT = "print('ready', flush=True)\nsys.stdin.read()\n"


def started(program: str, name: bytes = b"") -> Iterator[Path]:
    words = [sys.executable, "-c", program, name.hex(), str(HELD)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Path(f"/proc/{process.pid}")
        process.communicate()


INACCURATE = 1 << 20
"""VmHWM is counted by each processor for itself, and summed up now and then (proc_pid_status(5): "inaccurate")."""


def measured(folder: Path) -> int:
    found = meter._process(folder, [folder / "task" / name for name in os.listdir(folder / "task")])
    assert found.private <= found.highest + INACCURATE
    return found.private


@pytest.mark.parametrize(
    "name", [b"python", b"x kB", b"5 kB", b"VmHWM: 1 kB", b"a\x1c\x1cb", b"\xff\xfe", b"a\nb", b""]
)
def test_name_of_a_process_hides_nothing(name: bytes) -> None:
    for folder in started(NAMED + WAIT, name):
        assert HELD <= measured(folder) < 3 * HELD


def test_process_without_its_first_thread_is_measured() -> None:
    for folder in started(WITHOUT_FIRST_THREAD):
        assert HELD <= measured(folder) < 3 * HELD


def test_run_ends_when_it_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layers: int) -> tuple[int, int]:
        raise ValueError("odd")

    monkeypatch.setattr(meter, "measure", fail)
    ended = threading.Event()
    sampling = Meter()
    sampling.start(1, 0, ended.set)
    assert ended.wait(60)
    sampling.stop()
    assert sampling.failure == "ValueError: odd"


def test_samples_do_not_get_rarer_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that takes long, because others have the processor, postpones no further one."""
    ticks, third = iter(range(0, 10**9, 600)), threading.Event()
    samples = []

    def measure(layers: int) -> tuple[int, int]:
        samples.append(layers)
        if len(samples) == 3:
            third.set()
        return 0, 0

    monkeypatch.setattr(meter, "measure", measure)
    monkeypatch.setattr(meter.time, "monotonic", lambda: next(ticks))
    running = Meter()
    running.start(None, 0, lambda: None)
    came = third.wait(30)
    running.stop()

    assert came
