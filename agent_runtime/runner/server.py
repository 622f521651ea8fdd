"""The runner: a small root process that runs one algorithm, and powers off or reboots the machine.

It listens on a local socket that only the agent may use. A connection carries one request. When the agent closes its
direction of a run's connection, the runner kills the run; when it closes the whole connection, the runner also deletes
the run's files. Standard library only.
"""

import contextlib
import os
import select
import signal
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
from agent_runtime.runner.disk.scratchservice import ScratchService
from agent_runtime.runner.ending import MachineEnd
from agent_runtime.runner.protocol import (
    MAX_REQUEST,
    Job,
    RequestError,
    RunnerOperation,
    RunOutcome,
    ScratchRequest,
    parse_request,
)

SOCKET = Path("/run/cloister/runner.sock")
AGENT_ID = 900
_BACKLOG = 8
_TIMEOUT = 30.0
"""Seconds for a request to arrive."""


class JobExecutor(Protocol):
    """Runs a job; in the image a :class:`Container`."""

    def run(self, job: Job) -> RunOutcome: ...
    def stop(self) -> None: ...
    def clean(self) -> None: ...


@dataclass
class RunnerServer:
    """Serves requests of the user ids ``peers``. It runs one job per boot."""

    executor: JobExecutor
    end: Callable[[RunnerOperation, int], None]
    """Ends the machine; the second argument is the process id of the peer that asks for it."""

    peers: frozenset[int]
    scratch: ScratchService
    _used: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), name="request", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            process, user = peer(connection)
            if user not in self.peers:
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
            elif isinstance(request, ScratchRequest) or request is RunnerOperation.CLOSE_SCRATCH:
                with contextlib.suppress(OSError):
                    connection.sendall(self.scratch.answer(request))
            else:
                self.end(request, process)

    def _run(self, job: Job, connection: socket.socket) -> None:
        # Never released: one run per boot, as there is one manifest per boot.
        if not self._used.acquire(blocking=False):
            return
        worker = threading.Thread(target=self._execute, args=(job, connection), name="run")
        worker.start()
        _wait_for_stop(connection)
        self.executor.stop()
        worker.join()
        # After a stop, the agent still opens the logs.
        _wait_for_close(connection)
        self.executor.clean()

    def _execute(self, job: Job, connection: socket.socket) -> None:
        outcome = RunOutcome.LAUNCH
        try:
            outcome = self.executor.run(job)
        except OSError as error:
            print(f"runner: {error}", file=sys.stderr, flush=True)
        finally:
            # In any case: the agent waits for an outcome.
            with contextlib.suppress(OSError):
                connection.sendall(outcome.encode() + b"\n")


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process id and user id of the peer (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", credentials)
    return process, user


def receive_line(connection: socket.socket, limit: int) -> bytes:
    """The bytes up to the first newline. Raises OSError when the line is too long or incomplete."""
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(min(65536, limit + 1 - len(data)))
        data += part
        if not part or len(data) > limit:
            raise OSError("the request is too long or incomplete")
    return data[:-1]


def listen(path: Path, group: int | None) -> socket.socket:
    """Listen on a socket that only root and ``group`` may connect to."""
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


def _wait_for_stop(connection: socket.socket) -> None:
    """Return when the agent closes the connection or its own direction, or sends anything."""
    try:
        connection.recv(1)
    except OSError:
        return


def _wait_for_close(connection: socket.socket) -> None:
    """Return when the agent has closed the connection: both directions, see poll(2), POLLHUP."""
    closed = select.poll()
    closed.register(connection, 0)
    closed.poll()


def main() -> NoReturn:
    """Serve the agent until the machine ends, or until init ends it (SIGTERM)."""
    scratch = ScratchService(AGENT_ID)
    container = Container(RunnerPaths(), scratch=scratch.disk)
    ending = MachineEnd(container.end)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        RunnerServer(container, ending, frozenset({AGENT_ID}), scratch).serve(listen(SOCKET, AGENT_ID))
    finally:
        ending.forget()
    sys.exit(1)
