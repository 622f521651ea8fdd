"""Processes that outlive the provider: how they are started, known again, and ended.

A process id alone is no identity, since the kernel gives it out again: the start time belongs to it (proc(5),
``/proc/<pid>/stat`` field 22). A process that nobody has reaped yet (state Z) counts as ended.
"""

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TERM_SECONDS = 3.0
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """``started`` in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The live process with this id, None if there is none."""
        stat = _stat(pid)
        return cls(pid, stat[1]) if stat is not None and stat[0] not in "ZX" else None

    def alive(self) -> bool:
        return type(self).of(self.pid) == self

    def end(self) -> None:
        """SIGTERM, a moment of patience, SIGKILL; returns when the process is gone."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                # The handle is of whoever has the id now; only with the same start time is that our process.
                if not self.alive():
                    return
                for number, patience in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
                    signal.pidfd_send_signal(handle, number)
                    if select.select([handle], [], [], patience)[0]:
                        break
            finally:
                os.close(handle)
        _reap(self.pid)


def start(argv: Sequence[str], folder: Path, log: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start ``argv`` so that it lives on without us: in a session of its own, with ``folder`` as its working
    directory and its output in the file ``log`` there. The engine waits for every pipe of the provider to close:
    none is handed on.
    """
    with open(os.open(folder / log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
        return subprocess.Popen(
            list(argv),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
        )


def working_in(folder: Path, programs: Sequence[str]) -> list[Process]:
    """The live processes that run one of ``programs`` with ``folder`` as their working directory.

    So that a machine is found again whose provider was killed before it could note the process id. A shell of the
    user in the same folder is not one of them.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if Path(os.readlink(entry / "cwd").removesuffix(" (deleted)")) != folder:
                continue
            words = (entry / "cmdline").read_bytes().split(b"\0")
            names = {os.path.basename(word).decode("utf-8", "replace") for word in words}
            process = Process.of(int(entry.name))
            if process is not None and names & set(programs):
                found.append(process)
    return found


def _stat(pid: int) -> tuple[str, int] | None:
    """(state, start time) of a process. Its name may hold anything, so the fields are counted from the last ')'."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
