"""The agent's client of the runner."""

import contextlib
import json
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from agent_runtime.errors import AgentError
from agent_runtime.runner.protocol import MAX_ANSWER, Job, RunnerOperation, RunOutcome, ScratchRequest

_START_TRIES, _START_PAUSE = 400, 0.05
"""How often, and after how many seconds, the agent looks for the runner's socket when it starts."""


class RunHandle:
    """A run in progress. Leaving its context kills the run and deletes its files."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def outcome(self) -> RunOutcome:
        """Wait for the end of the run. LAUNCH when the runner closes the connection without an outcome."""
        answer = b""
        with contextlib.suppress(OSError):
            while not answer.endswith(b"\n") and len(answer) < MAX_ANSWER:
                part = self._connection.recv(MAX_ANSWER)
                if not part:
                    break
                answer += part
        try:
            return RunOutcome(answer.decode("ascii", "replace").rstrip("\n"))
        except ValueError:
            return RunOutcome.LAUNCH

    def stop(self) -> None:
        """Kill the run. :meth:`outcome` then returns; the files stay until the context is left."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Kill the run and delete its files."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RunnerClient:
    """A client of the runner's socket ``path``. A run leaves its files in ``results`` and its logs in ``output``."""

    def __init__(self, path: Path, *, results: Path, output: Path) -> None:
        self._path = path
        self.results = results
        self.output = output

    def start(self, job: Job) -> RunHandle:
        """Start a run. Raises AgentError when the runner cannot be reached."""
        return RunHandle(self._send(job.encode()))

    def end_machine(self, operation: RunnerOperation) -> None:
        """Power off or reboot the machine."""
        self._send(b'{"operation": "%s"}\n' % operation.encode()).close()

    def open_scratch(self, size: int) -> int:
        """Encrypt the scratch disk of at least ``size`` bytes. Returns how many can be used. Raises AgentError."""
        # The runner starts at the same time as the agent.
        for _ in range(_START_TRIES):
            if self._path.exists():
                break
            time.sleep(_START_PAUSE)
        return int(self._ask(ScratchRequest(RunnerOperation.OPEN_SCRATCH, size).encode(), "size"))

    def make_volume(self, size: int) -> Path:
        """Make the volume of uploaded assets. Returns its device. Raises AgentError."""
        return Path(self._ask(ScratchRequest(RunnerOperation.MAKE_VOLUME, size).encode(), "device"))

    def close_scratch(self) -> None:
        """Forget the scratch disk's key, so that its contents are lost. Raises AgentError."""
        self._ask(b'{"operation": "%s"}\n' % RunnerOperation.CLOSE_SCRATCH.encode(), "size")

    def _ask(self, request: bytes, name: str) -> str:
        """The member ``name`` of an answer. Raises AgentError with the runner's sentence."""
        with self._send(request) as connection, connection.makefile("rb") as source:
            try:
                answer = json.loads(source.readline(MAX_ANSWER))
                if "error" in answer:
                    raise AgentError(str(answer["error"]))
                return str(answer[name])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise AgentError("The runner did not answer.") from error

    def _send(self, request: bytes) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(str(self._path))
            connection.sendall(request)
        except OSError as error:
            connection.close()
            raise AgentError("Cannot connect to the runner.") from error
        return connection
