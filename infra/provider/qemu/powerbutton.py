"""The power button of a local CVM: its guest tells the parties and forgets their data before it ends."""

import os
import select
from contextlib import suppress
from pathlib import Path

from infra.processes import Process
from infra.provider.qemu.machine import MONITOR_SOCKET
from infra.provider.qemu.sockets import connect

SECONDS = 30.0
"""Time for the guest: the agent takes 5 s at most for the calls of its parties."""

_MONITOR_SECONDS = 5.0
_PRESS = b'{"execute": "qmp_capabilities"}\n{"execute": "system_powerdown"}\n'


def press(folder: Path, process: Process) -> None:
    """Press it, and wait until QEMU (``process``, in ``folder``) ends; not longer than :data:`SECONDS`."""
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            # Another process may have the id by now.
            if process.alive():
                with connect(folder, MONITOR_SOCKET, timeout=_MONITOR_SECONDS) as monitor:
                    monitor.sendall(_PRESS)
                    select.select([handle], [], [], SECONDS)
        finally:
            os.close(handle)
