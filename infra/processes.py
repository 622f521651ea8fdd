"""Processes that outlive the provider: starts, identifies and ends them.

The kernel reuses process IDs, so that a process is identified by its ID and start time (proc(5), ``/proc/<pid>/stat``
field 22). A process that has not been reaped yet (state Z) counts as ended.
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
        """The live process with this ID, or None."""
        stat = _stat(pid)
        return cls(pid, stat[1]) if stat is not None and stat[0] not in "ZX" else None

    def alive(self) -> bool:
        return type(self).of(self.pid) == self

    def end(self) -> None:
        """Send SIGTERM, then after a timeout SIGKILL; returns when the process has ended."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                # The ID may belong to another process by now; only with the same start time it is ours.
                if not self.alive():
                    return
                for number, timeout in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
                    signal.pidfd_send_signal(handle, number)
                    if select.select([handle], [], [], timeout)[0]:
                        break
            finally:
                os.close(handle)
        _reap(self.pid)


def start(argv: Sequence[str], folder: Path, log: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start ``argv`` so that it outlives this process: in its own session, with ``folder`` as its working directory and
    its output in the file ``log`` there. It inherits no pipe, because the engine waits until all of the provider's
    pipes are closed.
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

    Finds the processes of a CVM even if the provider was killed before it could record their IDs. A user's shell in the
    same folder is not included.
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
    """(state, start time) of a process. Its name may contain anything, so that fields are counted from the last ')'."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
