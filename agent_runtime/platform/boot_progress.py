"""Reports how far the boot is, one line per milestone, on a port that the host reads."""

import errno
import os
import time
from pathlib import Path

_ATTEMPTS = 100
_RETRY_SECONDS = 0.01


def report_progress(path: Path, milestone: str, detail: str) -> None:
    """Write a milestone. Without a port this does nothing."""
    line = f"{milestone} {detail}\n".encode()
    for _ in range(_ATTEMPTS):
        try:
            port = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
            # The port allows one writer at a time, and the runner reports at the same time.
            time.sleep(_RETRY_SECONDS)
            continue
        try:
            os.write(port, line)
        finally:
            os.close(port)
        return
