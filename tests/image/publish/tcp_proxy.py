"""A TCP proxy that counts the bytes sent to a server and breaks its connections after a limit."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TcpProxy:
    """Forwards connections to ``port`` of this machine. ``sent`` counts the bytes from clients.

    After ``limit`` bytes it closes all connections, and new ones too. With ``recovers`` it does so only once.
    """

    def __init__(self, port: int, limit: int | None, *, recovers: bool) -> None:
        self.sent = 0
        self._port, self._limit, self._recovers = port, limit, recovers
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Accept connections until ``close`` is called."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._broken():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._port))
            with self._lock:
                self._open |= {near, far}
            for source, sink, up in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pump, args=(source, sink, up), daemon=True).start()

    def _broken(self) -> bool:
        with self._lock:
            return self._limit is not None and self.sent > self._limit

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if up:
                    with self._lock:
                        self.sent += len(data)
                if self._broken():
                    self._break()
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _break(self) -> None:
        with self._lock:
            if self._recovers:
                self._limit = None
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Stop accepting connections and close open ones."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break()


@contextmanager
def tcp_proxy(port: int, limit: int | None = None, *, recovers: bool = False) -> Iterator[TcpProxy]:
    """A proxy to ``port`` that breaks after ``limit`` bytes from clients, or never."""
    between = TcpProxy(port, limit, recovers=recovers)
    thread = threading.Thread(target=between.serve, daemon=True)
    thread.start()
    try:
        yield between
    finally:
        between.close()
        thread.join(10)
