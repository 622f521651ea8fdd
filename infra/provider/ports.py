"""TCP ports of this machine's loopback interface."""

import socket

LOOPBACK = "127.0.0.1"


def free() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        # As QEMU does, which could else not listen again on the port of a machine that has just ended.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
