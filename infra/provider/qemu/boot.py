"""Waits from the start of QEMU until the agent answers, or reports why it does not."""

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cloister.endpoint import Address, probe
from cloister.errors import CloisterError
from infra.provider.errors import CancelledError, ProviderError
from infra.provider.qemu import vtpm
from infra.provider.qemu.machine import CONSOLE_LOG, MILESTONES, MONITOR_SOCKET, QEMU_LOG
from infra.provider.qemu.ports import LOOPBACK
from infra.provider.qemu.sockets import connect

BOOT_SECONDS = 300.0
SILENCE_SECONDS = 120.0
"""Limit for the firmware, until the kernel reports: it takes 10 s when emulated, 40 s on a busy machine."""

READY = "ready"
FAILED = "failed"

_TICK_SECONDS = 0.2
_MONITOR_SECONDS = 10.0
_HANDSHAKE_SECONDS = 30.0
_MOST_RESETS = 1
_TAIL_LINES = 8
_LOGS = (QEMU_LOG, vtpm.LOG, CONSOLE_LOG)
_MOST_BYTES = 65536
_RESTARTED = "The disk may not match the image. Check it: invoke image.verify"

_MEANINGS = {
    "initrd": "kernel started",
    "root": "root file system verified",
    "init": "guest started",
    "runner": "runner started",
    "agent": "agent started",
    "ready": "agent answers",
}


class SilentError(ProviderError):
    """The machine runs, but reported nothing. Under emulation this happened in one of fifty starts, in the
    firmware, and not in the second start.
    """


@dataclass
class BootWatch:
    """Watches one boot. ``say`` gets a line at each milestone; ``cancelled`` ends the wait."""

    name: str
    folder: Path
    qemu: subprocess.Popen[bytes]
    port: int
    cancelled: Event
    say: Callable[[str], None]

    def wait(self, seconds: float = BOOT_SECONDS) -> float:
        """Wait until the agent answers; returns the seconds. Raises ProviderError (SilentError, CancelledError)."""
        began = time.monotonic()
        resets = 0
        shown = ""
        with ExitStack() as stack:
            ended = os.pidfd_open(self.qemu.pid)
            stack.callback(os.close, ended)
            monitor = _Monitor(self.folder)
            stack.callback(monitor.close)
            while True:
                names = self._milestones()
                if names and names[-1] != shown:
                    shown = names[-1]
                    self.say(f"{_MEANINGS.get(shown, shown)} after {time.monotonic() - began:.0f} s")
                if READY in names:
                    break
                readable = select.select([ended, *monitor.streams()], [], [], _TICK_SECONDS)[0]
                if ended in readable:
                    raise self._failure("its virtual machine ended before it was ready")
                resets += monitor.resets()
                if resets > _MOST_RESETS:
                    raise self._failure(f"it restarted {resets} times before it was ready", _RESTARTED)
                if self.cancelled.is_set():
                    raise CancelledError(f"Starting the CVM {self.name!r} was cancelled.")
                if not names and time.monotonic() - began > SILENCE_SECONDS:
                    raise SilentError(self._failure(f"it reported nothing for {SILENCE_SECONDS:.0f} s").message)
                if time.monotonic() - began > seconds:
                    raise self._failure(f"it is not ready after {seconds:.0f} s")
        self._greet()
        return time.monotonic() - began

    def _milestones(self) -> list[str]:
        """The names of the milestones so far. Raises ProviderError when the guest reports a failure."""
        names = []
        for line in _read(self.folder / MILESTONES).splitlines():
            word, _, rest = line.partition(" ")
            if word == FAILED:
                raise ProviderError(f"The CVM {self.name!r} did not start. The guest reported: {rest}")
            names.append(word)
        return names

    def _greet(self) -> None:
        """Complete a TLS handshake with the agent: QEMU accepts TCP connections even if the guest does not."""
        try:
            probe(Address(LOOPBACK, self.port), timeout=_HANDSHAKE_SECONDS)
        except CloisterError as error:
            raise self._failure(f"its agent does not answer ({error.message})") from error

    def _failure(self, reason: str, hint: str = "") -> ProviderError:
        try:
            names = self._milestones()
        except ProviderError as error:
            # The guest's own report explains more than what was observed from outside.
            return error
        last = f"Its last milestone was {names[-1]!r}." if names else "It reported nothing."
        message = [f"The CVM {self.name!r} did not start: {reason}. {last}"]
        for log in _LOGS:
            lines = _read(self.folder / log).splitlines()[-_TAIL_LINES:]
            message += [f"{log}: {line}" for line in lines if line.strip()]
        return ProviderError("\n  ".join(message), hint=hint)


class _Monitor:
    """QEMU's machine protocol (docs/interop/qmp-spec), used only to count resets of the guest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream: socket.socket | None = None
        self._rest = b""

    def streams(self) -> list[socket.socket]:
        """The connection to wait on; connects as soon as QEMU listens."""
        if self._stream is None:
            with suppress(OSError):
                self._stream = connect(self._folder, MONITOR_SOCKET, timeout=_MONITOR_SECONDS)
                self._stream.sendall(b'{"execute":"qmp_capabilities"}\n')
                self._stream.setblocking(False)
        return [self._stream] if self._stream is not None else []

    def resets(self) -> int:
        """How often the guest was reset since the last call."""
        if self._stream is None:
            return 0
        with suppress(BlockingIOError, ConnectionError):
            self._rest += self._stream.recv(_MOST_BYTES)
        *lines, self._rest = self._rest.split(b"\n")
        count = 0
        for line in lines:
            with suppress(ValueError):
                count += json.loads(line).get("event") == "RESET"
        return count

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _read(path: Path) -> str:
    """The end of a log, "" if it does not exist."""
    with suppress(FileNotFoundError), open(path, "rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _MOST_BYTES))
        return log.read().decode("utf-8", "replace")
    return ""
