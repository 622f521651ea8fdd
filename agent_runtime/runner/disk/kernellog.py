"""The kernel's messages since a moment (Linux, Documentation/ABI/testing/dev-kmsg). Standard library only."""

import os
import select
import threading
from collections.abc import Callable

_RECORD = 8192
_ERROR = 3
"""The highest level (syslog(2)) of an error; the bits above a level are the facility, 0 for the kernel's own."""


def follow() -> int:
    """A descriptor that returns the messages from now on, and does not block. Raises OSError."""
    messages = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.lseek(messages, 0, os.SEEK_END)
    return messages


class KernelLog:
    """Whether there was an error that matters since now.

    The kernel keeps few messages, and the host can cause as many as it likes: a thread reads them as they come, and
    messages that are lost count as errors.
    """

    def __init__(self, matters: Callable[[bytes], bool], messages: int) -> None:
        """``matters`` is called with the text of each error, in any thread. ``messages`` is that of :func:`follow`."""
        self._matters = matters
        self._messages = messages
        self._found = False
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, name="kernel log", daemon=True).start()

    def found(self) -> bool:
        """Whether there was one until now. Raises OSError."""
        with self._lock:
            while not self._found and (record := self._next()) is not None:
                self._found = self._found or self._is_error(record)
            return self._found

    def _follow(self) -> None:
        waiting = select.poll()
        waiting.register(self._messages, select.POLLIN)
        while not self._found:
            waiting.poll()
            self.found()

    def _is_error(self, record: bytes) -> bool:
        prefix, _, message = record.partition(b";")
        level = prefix.partition(b",")[0]
        # A record without a level: the log has ended.
        return not level.isdigit() or (int(level) <= _ERROR and self._matters(message))

    def _next(self) -> bytes | None:
        while True:
            try:
                return os.read(self._messages, _RECORD)
            except BlockingIOError:
                return None
            except BrokenPipeError:
                self._found = (
                    True  # older messages were overwritten; the next read goes on with the oldest that is left
                )
