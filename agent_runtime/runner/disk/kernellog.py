"""The kernel's messages since a moment (Linux, Documentation/ABI/testing/dev-kmsg). Standard library only."""

import os
from collections.abc import Iterable

_RECORD = 8192
_ERROR = 3
"""The highest level (syslog(2)) of what is an error."""


class KernelLog:
    """The kernel's errors from now on."""

    def __init__(self) -> None:
        self._messages = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._messages, 0, os.SEEK_END)
        self._found = False

    def has(self, beginnings: Iterable[bytes]) -> bool:
        """Whether there was an error that begins with one of these, now or in an earlier call. Raises OSError."""
        while (record := self._next()) is not None:
            prefix, _, message = record.partition(b";")
            level = int(prefix.partition(b",")[0]) & 7
            self._found = self._found or (level <= _ERROR and message.startswith(tuple(beginnings)))
        return self._found

    def _next(self) -> bytes | None:
        while True:
            try:
                return os.read(self._messages, _RECORD)
            except BlockingIOError:
                return None
            except BrokenPipeError:
                continue  # older messages were overwritten; the next read goes on with the oldest that is left
