"""TCP ports of this machine's loopback interface."""

import hashlib
import socket

LOOPBACK = "127.0.0.1"
_STABLE = range(20000, 32768)
_TRIES = 100


def free() -> int:
    """A port that is free at this moment."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def preferred(name: str) -> int:
    """A free port derived from ``name``, below those that Linux uses for outgoing connections. Tries a hundred ports in
    a row, then returns any free one.
    """
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(_STABLE)
    for offset in range(_TRIES):
        port = _STABLE[(first + offset) % len(_STABLE)]
        if is_free(port):
            return port
    return free()


def is_free(port: int) -> bool:
    """Whether a program can listen on ``port``."""
    with socket.socket() as listener:
        # As QEMU does: otherwise the port of a machine that just ended would count as used.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
