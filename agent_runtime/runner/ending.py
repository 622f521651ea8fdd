"""How the machine ends: first whatever has data in memory, which the kernel overwrites when it is freed.

The kernel's option ``init_on_free`` does that (Linux, Documentation/admin-guide/kernel-parameters.txt). Part of the
runner, which is root. Standard library only.
"""

import contextlib
import ctypes
import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.runner.mounts import unmount
from agent_runtime.runner.protocol import RunnerOperation

# reboot(2)
_POWER_OFF, _RESTART = 0x4321FEDC, 0x01234567
_SECONDS = 20.0
"""Seconds for killed processes to end."""

_RUN_SECONDS = 40.0
"""Seconds for the run to end and its disk to be closed, for which the host may never answer."""


@dataclass(frozen=True)
class MachineEnd:
    """Ends the machine."""

    end_run: Callable[[], None]
    """Ends the sandbox, and forgets the key of the scratch disk."""

    store: Path = Path("/run/cloister/assets")
    """Where the agent has data, a tmpfs."""

    def __call__(self, operation: RunnerOperation, agent: int) -> None:
        """End the run, then the agent (its process id) and the shell that waits for it, then the machine."""
        # Whatever fails or does not return, the machine ends.
        ending = threading.Thread(target=self.end_run, name="end of the run", daemon=True)
        ending.start()
        ending.join(_RUN_SECONDS)
        with contextlib.suppress(OSError):
            # The shell first: it powers the machine off when the agent ends.
            kill(parent_of(agent), agent)
        with contextlib.suppress(OSError):
            unmount(self.store)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.reboot(_POWER_OFF if operation is RunnerOperation.POWER_OFF else _RESTART)

    def forget(self) -> None:
        """End the run and remove the agent's data: the agent has ended, and init ends the machine."""
        with contextlib.suppress(OSError):
            self.end_run()
        with contextlib.suppress(OSError):
            unmount(self.store)


def parent_of(process: int) -> int:
    """The process id of a process's parent (proc(5), status). Raises OSError."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("PPid:")).split()[1])


def kill(*processes: int) -> None:
    """Kill processes in this order, and wait for their end. Raises OSError, also if it takes too long."""
    with contextlib.ExitStack() as opened:
        handles = []
        for process in processes:
            handles.append(os.pidfd_open(process))
            opened.callback(os.close, handles[-1])
        for handle in handles:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        for handle in handles:
            # Readable when the process has ended (pidfd_open(2)).
            if not select.select([handle], [], [], _SECONDS)[0]:
                raise TimeoutError("a process did not end")
