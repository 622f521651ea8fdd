"""TCP ports of this machine's loopback interface."""

import hashlib
import socket

LOOPBACK = "127.0.0.1"
_STABLE = range(20000, 32768)
_TRIES = 100


def free() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def preferred(name: str) -> int:
    """A free port that is the same for the same ``name`` unless somebody has taken it; below those that Linux gives
    to outgoing connections. Any free port when a hundred in a row are taken.
    """
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(_STABLE)
    for offset in range(_TRIES):
        port = _STABLE[(first + offset) % len(_STABLE)]
        if is_free(port):
            return port
    return free()


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        # As QEMU does, which could else not listen again on the port of a machine that has just ended.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
