"""The runner's socket: accepted users and requests, and the end of a run."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent_runtime.errors import AgentError
from agent_runtime.runner.client import RunnerClient
from agent_runtime.runner.disk.scratchservice import ScratchService
from agent_runtime.runner.protocol import Job, RunnerOperation, RunOutcome
from agent_runtime.runner.server import RunnerServer, listen
from tests.agent_runtime.runner.test_protocol import JOB


@dataclass
class Steps:
    """An executor whose run ends when a test says so."""

    end: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    cleaned: threading.Event = field(default_factory=threading.Event)
    stopped: bool = False
    fails: bool = False

    def run(self, job: Job) -> RunOutcome:
        self.started.set()
        self.end.wait()
        if self.fails:
            raise OSError("no sandbox")
        return RunOutcome.STOPPED if self.stopped else RunOutcome.OK

    def stop(self) -> None:
        self.stopped = not self.end.is_set()
        self.end.set()

    def clean(self) -> None:
        self.cleaned.set()


Serve = Callable[[Steps, frozenset[int]], RunnerClient]


@pytest.fixture
def ended() -> list[RunnerOperation]:
    """The operations that ended the machine."""
    return []


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[RunnerOperation]) -> Iterator[Serve]:
    """Starts a runner. Its path is relative: a socket's path has at most 107 bytes."""
    monkeypatch.chdir(tmp_path)
    listeners: list[socket.socket] = []

    def start(executor: Steps, peers: frozenset[int]) -> RunnerClient:
        listener = listen(Path("socket"), None)
        listeners.append(listener)
        threading.Thread(
            target=RunnerServer(
                executor, lambda operation, _: ended.append(operation), peers, ScratchService(os.getuid())
            ).serve,
            args=(listener,),
            daemon=True,
        ).start()
        return RunnerClient(Path("socket"), results=tmp_path, output=tmp_path)

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


ME = frozenset({os.getuid()})


def test_a_run_ends_with_its_outcome_and_is_cleaned_when_the_agent_is_done(serve: Serve) -> None:
    steps = Steps()
    with serve(steps, ME).start(JOB) as run:
        steps.end.set()
        assert run.outcome() is RunOutcome.OK
        assert not steps.cleaned.is_set()
    assert steps.cleaned.wait(30)


def test_run_ends_with_its_connection(serve: Serve) -> None:
    steps = Steps()
    with serve(steps, ME).start(JOB):
        assert steps.started.wait(30)
    assert steps.cleaned.wait(30)
    assert steps.stopped


def test_stopped_run_has_outcome_stopped(serve: Serve) -> None:
    steps = Steps()
    with serve(steps, ME).start(JOB) as run:
        assert steps.started.wait(30)
        run.stop()
        assert run.outcome() is RunOutcome.STOPPED
        # The agent reads what was printed.
        assert not steps.cleaned.wait(0.2)
    assert steps.cleaned.wait(30)


def test_sandbox_that_cannot_be_built_is_an_outcome(serve: Serve) -> None:
    steps = Steps(fails=True)
    steps.end.set()
    with serve(steps, ME).start(JOB) as run:
        assert run.outcome() is RunOutcome.LAUNCH


def test_machine_runs_one_job_per_boot(serve: Serve) -> None:
    steps = Steps()
    steps.end.set()
    client = serve(steps, ME)
    with client.start(JOB) as run:
        assert run.outcome() is RunOutcome.OK
    assert steps.cleaned.wait(30)
    with client.start(JOB) as run:
        assert run.outcome() is RunOutcome.LAUNCH


def test_other_users_are_not_answered(serve: Serve, ended: list[RunnerOperation]) -> None:
    steps = Steps()
    client = serve(steps, frozenset({os.getuid() + 1}))
    # The runner may have closed the connection before the request was written.
    with contextlib.suppress(AgentError), client.start(JOB) as run:
        assert run.outcome() is RunOutcome.LAUNCH
    with contextlib.suppress(AgentError):
        client.end_machine(RunnerOperation.REBOOT)
    with contextlib.suppress(AgentError), client.start(JOB) as run:
        assert run.outcome() is RunOutcome.LAUNCH
    assert not steps.started.is_set()
    assert ended == []


@pytest.mark.parametrize("request_line", [b"{}\n", b"x" * 100, b'{"operation": "shell"}\n'])
def test_malformed_request_is_not_answered(serve: Serve, request_line: bytes) -> None:
    steps = Steps()
    serve(steps, ME)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("socket")
        connection.sendall(request_line)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert not steps.started.is_set()


def test_the_socket_is_for_root_and_its_group_only(serve: Serve, tmp_path: Path) -> None:
    serve(Steps(), ME)
    assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600


def test_missing_runner_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AgentError):
        RunnerClient(tmp_path / "none", results=tmp_path, output=tmp_path).start(JOB)


def test_fault_of_the_executor_is_an_outcome(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    hook = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: hook.set())

    def fail(job: Job) -> RunOutcome:
        raise RuntimeError("broken")

    monkeypatch.setattr(steps, "run", fail)
    with serve(steps, ME).start(JOB) as run:
        assert run.outcome() is RunOutcome.LAUNCH
    assert hook.wait(30)
