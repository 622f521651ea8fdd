"""A network connection between a party and an agent that breaks, stalls or changes bytes at chosen points."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum

from cloister.endpoint import Address

_DELAY = 0.1
"""Seconds by which a late segment is late."""


class Damage(Enum):
    """What happens to a connection."""

    CUT = "cut"
    """It ends after the segment."""

    TRUNCATED = "truncated"
    """It ends within the segment."""

    RESET = "reset"
    """It ends with RST, and what was on its way is lost."""

    STALLED = "stalled"
    """It stays open, and nothing passes any more in this direction."""

    FLIPPED = "flipped"
    """One bit of the segment is changed."""

    LATE = "late"
    """The segment is late."""

    NONE = "none"
    """Only the point's own action happens."""


@dataclass(frozen=True)
class Point:
    """A point of a transfer: after more than so many ``count`` bytes in one direction, ``damage`` is done.

    ``action`` is called just before.
    """

    count: int
    damage: Damage
    downward: bool = False
    action: Callable[[], None] | None = None


class Line:
    """Forwards bytes. Points are reached one after the other; each counts from the one before, over all connections."""

    def __init__(self, machine: Address, points: list[Point]) -> None:
        self.stalled = threading.Event()
        self.reached = 0
        """Points reached so far."""
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._passed = {False: 0, True: 0}
        self._machine = machine
        self._points = points
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])

    def redirect(self, machine: Address) -> None:
        """Forward further connections to another machine."""
        self._machine = machine

    def serve(self) -> None:
        """Until :meth:`close`."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection((self._machine.host, self._machine.port))
            except OSError:
                near.close()
                continue
            for source, sink, downward in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(source, sink, downward), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, downward: bool) -> None:
        how = socket.SHUT_RDWR
        with suppress(OSError):
            while data := source.recv(65536):
                point = self._point(downward, len(data))
                if point is None:
                    sink.sendall(data)
                elif self._damage(point, data, source, sink):
                    # Only reading ends here: closing then sends RST instead of FIN.
                    how = socket.SHUT_RD if point.damage is Damage.RESET else how
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(how)
            end.close()

    def _point(self, downward: bool, size: int) -> Point | None:
        """The point that the next ``size`` bytes reach."""
        with self._lock:
            self._passed[downward] += size
            point = self._points[0] if self._points else None
            if point is None or point.downward is not downward or self._passed[downward] <= point.count:
                return None
            self._points.pop(0)
            self._passed = {False: 0, True: 0}
            self.reached += 1
        return point

    def _damage(self, point: Point, data: bytes, source: socket.socket, sink: socket.socket) -> bool:
        """Whether the connection ends."""
        if point.action is not None:
            point.action()
        if point.damage is Damage.TRUNCATED:
            sink.sendall(data[: len(data) // 2])
        elif point.damage is Damage.FLIPPED:
            middle = len(data) // 2
            sink.sendall(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        elif point.damage is Damage.LATE:
            self._closed.wait(_DELAY)
            sink.sendall(data)
        elif point.damage is Damage.RESET:
            for end in (source, sink):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            sink.sendall(data)
        if point.damage is Damage.STALLED:
            self.stalled.set()
            self._closed.wait()
        return point.damage not in (Damage.FLIPPED, Damage.LATE, Damage.NONE)

    def close(self) -> None:
        """Accept no more connections, and release those that stall."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def line(machine: Address, *points: Point) -> Iterator[Line]:
    """A line to ``machine`` with these points."""
    between = Line(machine, list(points))
    thread = threading.Thread(target=between.serve, daemon=True)
    thread.start()
    try:
        yield between
    finally:
        between.close()
        thread.join(10)


@contextmanager
def cut(machine: Address, *counts: int, downward: bool = False, stall: bool = False) -> Iterator[Line]:
    """A line that breaks after each of ``counts`` bytes from the party, or with ``downward`` to the party."""
    damage = Damage.STALLED if stall else Damage.CUT
    with line(machine, *(Point(count, damage, downward) for count in counts)) as between:
        yield between
