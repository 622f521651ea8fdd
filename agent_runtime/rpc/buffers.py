"""The memory for the bytes of uploads: a fixed number of buffers for all calls together, reused."""

import threading
from collections.abc import Callable

from cloister.protocol.sealing import FRAME_SIZE


class Buffer:
    """A buffer of the pool. :meth:`release` it when its bytes were written."""

    def __init__(self, give: Callable[["Buffer"], None]) -> None:
        self.room = memoryview(bytearray(FRAME_SIZE))
        self.size = 0
        self._give = give

    @property
    def data(self) -> memoryview:
        """The bytes in it."""
        return self.room[: self.size]

    def release(self) -> None:
        """Return it to the pool. It must not be used afterwards."""
        self._give(self)


class Buffers:
    """At most ``count`` buffers. A call takes one when a whole frame is here: no peer can keep it from others."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._free: list[Buffer] = []
        self._changed = threading.Condition()

    def take(self) -> Buffer:
        """A buffer with undefined contents; waits until one is free."""
        with self._changed:
            while not self._free:
                if self._left:
                    self._left -= 1
                    return Buffer(self._give)
                self._changed.wait()
            return self._free.pop()

    def _give(self, buffer: Buffer) -> None:
        with self._changed:
            self._free.append(buffer)
            self._changed.notify()
