"""Has a Python script run by a fork of the fork server, in place of a new interpreter: ``forkclient.py SOCKET SCRIPT
ARGUMENT...``. Hands over environment, folder and standard streams, and ends with the script's exit status.

Started without site packages, so that it takes milliseconds.
"""

import json
import os
import select
import signal
import socket
import sys

_WATCH_SECONDS = 1.0


def main(path: str, *words: str) -> int:
    """The exit status of the script; the fork ends when this process or its parent does."""
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: connection.send(str(number).encode()))
        request = {"words": words, "environment": dict(os.environ), "folder": os.getcwd()}
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        while os.getppid() == parent:
            if select.select([connection], [], [], _WATCH_SECONDS)[0]:
                return int(connection.recv(16) or b"1")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
