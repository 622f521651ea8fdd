"""The runner: a small root process that runs one algorithm, powers off and reboots, and does nothing else.

It listens on a local socket that only the agent may use. A connection is one request; a run lives as long as its
connection: when the agent closes it, the run is killed and everything of it removed. Standard library only.
"""

import contextlib
import ctypes
import os
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from agent_runtime.runner.container import Container, RunnerPaths
from agent_runtime.runner.protocol import MAX_REQUEST, Job, RequestError, RunnerOperation, RunOutcome, parse_request

SOCKET = Path("/run/cloister/runner.sock")
AGENT_ID = 900
_BACKLOG = 8
_TIMEOUT = 30.0
"""Seconds that a request may take to arrive."""

# reboot(2)
_POWER_OFF, _RESTART = 0x4321FEDC, 0x01234567


class JobExecutor(Protocol):
    """What carries out a run; in the image a :class:`Container`."""

    def run(self, job: Job) -> RunOutcome: ...
    def stop(self) -> None: ...
    def clean(self) -> None: ...


@dataclass
class RunnerServer:
    """Serves requests. ``peers`` are the user ids that may ask; a machine runs one algorithm in its life."""

    executor: JobExecutor
    end: Callable[[RunnerOperation], None]
    peers: frozenset[int]
    _used: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        """Answer until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), name="request", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            if peer_uid(connection) not in self.peers:
                return
            connection.settimeout(_TIMEOUT)
            try:
                request = parse_request(receive_line(connection, MAX_REQUEST))
            except (RequestError, OSError) as error:
                print(f"runner: {error}", file=sys.stderr, flush=True)
                return
            connection.settimeout(None)
            if isinstance(request, Job):
                self._run(request, connection)
            else:
                self.end(request)

    def _run(self, job: Job, connection: socket.socket) -> None:
        # Never released: one run in the life of a machine, as one manifest.
        if not self._used.acquire(blocking=False):
            return
        worker = threading.Thread(target=self._execute, args=(job, connection), name="run")
        worker.start()
        _wait_for_close(connection)
        self.executor.stop()
        worker.join()
        self.executor.clean()

    def _execute(self, job: Job, connection: socket.socket) -> None:
        outcome = RunOutcome.LAUNCH
        try:
            outcome = self.executor.run(job)
        except OSError as error:
            print(f"runner: {error}", file=sys.stderr, flush=True)
        finally:
            # Whatever happens: the agent waits for this word.
            with contextlib.suppress(OSError):
                connection.sendall(outcome.encode() + b"\n")


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user


def receive_line(connection: socket.socket, limit: int) -> bytes:
    """The bytes up to the first newline. Raises OSError when they are too many or the peer ends before."""
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(min(65536, limit + 1 - len(data)))
        data += part
        if not part or len(data) > limit:
            raise OSError("a request is too long or has no end")
    return data[:-1]


def listen(path: Path, group: int | None) -> socket.socket:
    """A listening socket that root and ``group`` may connect to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    if group is not None:
        os.chown(path, -1, group)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP)
    listener.listen(_BACKLOG)
    return listener


def _wait_for_close(connection: socket.socket) -> None:
    """Return when the agent ends the connection, or sends anything at all."""
    try:
        connection.recv(1)
    except OSError:
        return


def end_machine(operation: RunnerOperation) -> None:
    """Power off or reboot at once: nothing here has anything to save (reboot(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.reboot(_POWER_OFF if operation is RunnerOperation.POWER_OFF else _RESTART)


def main() -> NoReturn:
    """Serve the agent until the machine ends."""
    runner = RunnerServer(Container(RunnerPaths()), end_machine, frozenset({AGENT_ID}))
    runner.serve(listen(SOCKET, AGENT_ID))
    sys.exit(1)
