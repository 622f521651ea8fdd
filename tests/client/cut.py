"""A network connection that breaks after a number of bytes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cloister.endpoint import Address


class Cut:
    """Forwards bytes. Each connection breaks after as many bytes as ``allowances`` says; later ones do not break.

    With ``stall`` the connection stays open: no more bytes pass, and ``stalled`` is set.
    """

    def __init__(self, machine: Address, allowances: list[int], *, downward: bool, stall: bool) -> None:
        self.stalled = threading.Event()
        self._stall = stall
        self._closed = threading.Event()
        self._machine = machine
        self._allowances = allowances
        self._downward = downward
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self.cuts = 0

    def serve(self) -> None:
        """Until :meth:`close`."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((self._machine.host, self._machine.port))
            first = threading.Thread(target=self._pump, args=(near, far, not self._downward), daemon=True)
            second = threading.Thread(target=self._pump, args=(far, near, self._downward), daemon=True)
            first.start()
            second.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                passed += len(data)
                if counted and self._allowances and passed > self._allowances[0]:
                    self._allowances.pop(0)
                    self.cuts += 1
                    if self._stall:
                        self.stalled.set()
                        self._closed.wait()
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Accept no more connections, and release those that stall."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def cut(machine: Address, *allowances: int, downward: bool = False, stall: bool = False) -> Iterator[Cut]:
    """Count the bytes from the party, or with ``downward`` those to the party."""
    between = Cut(machine, list(allowances), downward=downward, stall=stall)
    thread = threading.Thread(target=between.serve, daemon=True)
    thread.start()
    try:
        yield between
    finally:
        between.close()
        thread.join(10)
