"""An algorithm that fills the memory that the kernel has for TCP: connections to itself whose bytes no one reads."""

import contextlib
import socket
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
kept = []
with contextlib.suppress(OSError):
    while True:
        pair = socket.create_connection(listener.getsockname(), timeout=5), listener.accept()[0]
        kept.extend(pair)
        for one in pair:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    one.send(bytes(1 << 20))
print("full", len(kept), flush=True)
time.sleep(600)
