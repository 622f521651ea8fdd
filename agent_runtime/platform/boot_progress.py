"""How far the machine has come, for whoever started it: one line each, into a port that the host reads."""

import errno
import os
import time
from pathlib import Path

_ATTEMPTS = 100
_RETRY_SECONDS = 0.01


def report_progress(path: Path, name: str, said: str) -> None:
    """Write a milestone. Nobody need listen: a machine without the port goes on without a word."""
    line = f"{name} {said}\n".encode()
    for _ in range(_ATTEMPTS):
        try:
            port = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
            # The port takes one writer at a time, and the runner starts beside us.
            time.sleep(_RETRY_SECONDS)
            continue
        try:
            os.write(port, line)
        finally:
            os.close(port)
        return
