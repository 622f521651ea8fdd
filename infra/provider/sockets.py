"""Unix sockets in a machine's folder, however deep it lies: a socket's own path has at most 107 characters."""

import os
import socket
from pathlib import Path


def connect(folder: Path, name: str, *, timeout: float) -> socket.socket:
    """A stream connected to the socket ``name`` in ``folder``; ``timeout`` in seconds holds for every operation."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(timeout)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        stream.connect(f"/proc/self/fd/{descriptor}/{name}")
    except OSError:
        stream.close()
        raise
    finally:
        os.close(descriptor)
    return stream
