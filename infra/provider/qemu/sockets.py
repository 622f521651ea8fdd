"""Unix sockets in a machine's folder. A socket's path has at most 107 characters; the folder's may be longer."""

import os
import socket
from contextlib import suppress
from pathlib import Path

_ACCEPTS = 1 << 16
"""__SO_ACCEPTCON in the flags of /proc/net/unix (proc(5)): listen(2) was called."""


def connect(folder: Path, name: str, *, timeout: float) -> socket.socket:
    """A stream connected to the socket ``name`` in ``folder``; ``timeout`` (seconds) applies to every operation."""
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


def listens(process: int, name: str) -> bool:
    """Whether ``process`` listens on the socket that it bound as ``name``.

    The socket's file alone does not show it: between bind and listen, connections are refused.
    """
    owned = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            owned.add(os.readlink(entry))
    for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]:
        _, _, _, flags, _, _, inode, *path = line.split(maxsplit=7)
        if path == [name] and int(flags, 16) & _ACCEPTS and f"socket:[{inode}]" in owned:
            return True
    return False
