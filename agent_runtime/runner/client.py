"""The agent's side of the runner's socket."""

import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from agent_runtime.errors import AgentError
from agent_runtime.runner.protocol import MAX_ANSWER, Job, RunnerOperation, RunOutcome


class RunHandle:
    """A run under way. Leaving its context kills it, if it is not over, and removes what it left."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def outcome(self) -> RunOutcome:
        """Wait for the end. A runner that ends the connection has not carried out the run."""
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
        """Kill the run; its outcome is told to whoever waits for it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


class RunnerClient:
    """Asks the runner at ``path``; ``results`` and ``output`` is where a run leaves what it made and said."""

    def __init__(self, path: Path, *, results: Path, output: Path) -> None:
        self._path = path
        self.results = results
        self.output = output

    def start(self, job: Job) -> RunHandle:
        """Start a run. Raises AgentError when the runner cannot be reached."""
        return RunHandle(self._ask(job.encode()))

    def end_machine(self, operation: RunnerOperation) -> None:
        """Power off or reboot the machine."""
        self._ask(b'{"operation": "%s"}\n' % operation.encode()).close()

    def _ask(self, request: bytes) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(str(self._path))
            connection.sendall(request)
        except OSError as error:
            connection.close()
            raise AgentError("The runner does not answer.") from error
        return connection
