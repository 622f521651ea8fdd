"""An agent in this process, with gRPC over TLS, a software TPM and the runner's socket.

Only the sandbox is missing: the guest's launcher runs the algorithm as a normal process.
"""

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from agent_runtime import boot
from agent_runtime.clock import Clock
from agent_runtime.config import Config
from agent_runtime.limits import Limits
from agent_runtime.platform.local import LocalMachine
from agent_runtime.runner import launch
from agent_runtime.runner.container import is_marked, open_marker
from agent_runtime.runner.disk.scratchservice import ScratchService
from agent_runtime.runner.kept_output import append_output, keep_output
from agent_runtime.runner.protocol import Job, RunnerOperation, RunOutcome
from agent_runtime.runner.result_tree import accept_results
from agent_runtime.runner.server import RunnerServer, listen
from cloister.attestation.evidence import Platform
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import ConfigurationPolicy, LocalPolicy, Policy
from cloister.attestation.testkit import Authority, BootEvent, encode_event_log
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.tpm import commands
from cloister.attestation.tpm import structures as tpm
from cloister.attestation.tpm.eventlog import EV_NO_ACTION
from cloister.endpoint import Address
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.wheels import image_packages
from tests.software_tpm import software_tpm

GIB = 1024**3
PACKAGES = {"numpy": "2.2.4", "torch": "2.6.0"}
"""What the image has for algorithms."""
FILLER = "filler"
"""A file that only takes up a store's room."""


def provision(send: commands.Transport, authority: Authority, events: tuple[BootEvent, ...]) -> None:
    """Do what firmware and provider do: measure the boot, certify the attestation key."""
    for event in events:
        if event.kind != EV_NO_ACTION:
            commands.pcr_extend(send, event.pcr, hashlib.sha256(event.data).digest())
    template = tpm.AK_TEMPLATE.marshal()
    handle, public = commands.create_primary(send, commands.ENDORSEMENT, template)
    commands.flush_context(send, handle)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
    for index, data in ((tpm.NV_AK_TEMPLATE, template), (tpm.NV_AK_CERTIFICATE, authority.certify(key))):
        commands.nv_define(send, index, len(data))
        commands.nv_write(send, index, data)


@dataclass
class PlainExecutor:
    """Runs a job as a process of this user, without a sandbox."""

    base: Path
    store: Path
    process: "subprocess.Popen[bytes] | None" = None
    stopped: bool = False
    jobs: list[Job] = field(default_factory=list)
    held: list[list[str]] = field(default_factory=list)
    """For each job, the SHA-256 of every file in the store when it began."""
    cleaned: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def results(self) -> Path:
        return self.base / "work" / "results"

    @property
    def output(self) -> Path:
        return self.base / "output"

    def run(self, job: Job) -> RunOutcome:
        self.jobs.append(job)
        self.held.append(held_digests(self.store))
        work = self.base / "work"
        self.results.mkdir(parents=True)
        (self.base / "wheels").mkdir()
        shutil.copytree(self.store / "datasets", work / "datasets")
        shutil.copy(self.store / "algorithm", work / job.algorithm)
        for item in job.files:
            (work / item.at).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.store / "files" / item.name, work / item.at)
        request: dict[str, Any] = {
            "kind": job.kind,
            "algorithm": str(work / job.algorithm),
            "args": list(job.args),
            "launched": str(self.base / "launched"),
            "wheels": {"bundle": str(self.store / "bundle"), "into": str(self.base / "wheels")} if job.wheels else None,
            "datasets": [
                {
                    "from": str(self.store / "packed" / item.name),
                    "into": str(work / "datasets" / item.name),
                    "size": item.size,
                }
                for item in job.packed
            ],
        }
        words = [sys.executable, "-I", "-B", launch.__file__, json.dumps(request)]
        environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **job.environment}
        with self.lock:
            if self.stopped:
                return RunOutcome.STOPPED
            marker = open_marker(self.base / "launched")
            self.process = subprocess.Popen(
                words,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        late = threading.Event()

        def time_out() -> None:
            late.set()
            with self.lock:
                self._kill()

        with self.process as process, marker:
            timer = threading.Timer(job.seconds, time_out)
            timer.start()
            if process.stdout is not None:
                keep_output(process.stdout, self.output, job.output)
            # The process id stays valid until it is reaped; no kill comes in between.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            timer.cancel()
            with self.lock:
                status = process.wait()
                self.process = None
            launched = is_marked(marker)
        if self.stopped or late.is_set():
            return RunOutcome.STOPPED if self.stopped else RunOutcome.TIME_LIMIT
        if status:
            return RunOutcome.EXIT_STATUS if launched else RunOutcome.LAUNCH
        outcome, why = accept_results(self.results, job.results)
        if why:
            append_output(self.output, job.output, why)
        return outcome

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            self._kill()

    def _kill(self) -> None:
        """``lock`` is held."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def clean(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        self.cleaned.set()


def held_digests(store: Path) -> list[str]:
    """The SHA-256 of every file in a store."""
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != FILLER)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


class ManualClock(Clock):
    """The real clocks, advanced by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.moved = 0.0
        """Seconds by which the host has set the clock ahead."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += seconds

    def now(self) -> datetime.datetime:
        return super().now() + datetime.timedelta(seconds=self.ahead + self.moved)

    def uptime(self) -> float:
        return super().uptime() + self.ahead


@dataclass
class RunningAgent:
    """An agent and its surroundings. ``ended`` are the operations that ended the machine."""

    agent: boot.Agent
    address: Address
    boot_configuration: BootConfiguration
    authority: Authority
    boot_events: tuple[BootEvent, ...]
    executor: PlainExecutor
    clock: ManualClock
    config: Config
    ended: list[RunnerOperation]
    rebooted: threading.Event
    tpm: commands.Transport

    @property
    def certificate(self) -> bytes:
        """The certificate of the workspace's authority, DER."""
        return self.authority.certificate

    def policy(self) -> Policy:
        """A policy that accepts this machine."""
        return accepting_policy(self.boot_configuration, self.authority, self.boot_events)


def accepting_policy(
    configuration: BootConfiguration, authority: Authority, boot_events: tuple[BootEvent, ...] = BOOT_EVENTS
) -> Policy:
    """A policy that accepts a machine of this configuration, authority and boot."""
    values = {index: bytes(32) for index in (4, 9, 11)}
    for event in boot_events:
        if event.kind != EV_NO_ACTION and event.pcr in values:
            values[event.pcr] = hashlib.sha256(values[event.pcr] + hashlib.sha256(event.data).digest()).digest()
    return Policy(
        platforms=(Platform.LOCAL,),
        images=(ImageReference("base", False, hashlib.sha256(b"base").digest(), values),),
        boot_configuration=ConfigurationPolicy(configuration.workspace, (configuration.cvm,), configuration.owners),
        allow_local=True,
        local=LocalPolicy(authority.spki_sha256(), authority.certificate),
    )


def new_authority() -> Authority:
    """A workspace's authority, an hour old."""
    return Authority.create(datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))


def write_platform_files(
    folder: Path, configuration: BootConfiguration, boot_events: tuple[BootEvent, ...] = BOOT_EVENTS
) -> None:
    """Write what init and the image give the agent: configuration, boot event log, packages, no debug image."""
    (folder / "boot-configuration").write_bytes(configuration.encode())
    (folder / "debug").write_bytes(b"no\n")
    (folder / "packages.json").write_bytes(image_packages.encode(PACKAGES))
    (folder / "boot-event-log").write_bytes(encode_event_log(boot_events))


@contextlib.contextmanager
def running_agent(
    folder: Path,
    owners: tuple[str, ...],
    *,
    workspace: str = "trial",
    cvm: str = "main",
    limits: Limits | None = None,
    authority: Authority | None = None,
    boot_events: tuple[BootEvent, ...] = BOOT_EVENTS,
    free_memory: Callable[[], int] = lambda: 8 * GIB,
) -> Iterator[RunningAgent]:
    """An agent on a free port. ``owners`` are key ids; ``folder`` is empty and private."""
    configuration = BootConfiguration(workspace, cvm, tuple(sorted(owners)))
    authority = authority or new_authority()
    store = folder / "assets"
    for path in (store, folder / "tpm"):
        path.mkdir(parents=True)
    write_platform_files(folder, configuration, boot_events)
    executor = PlainExecutor(folder / "run", store)
    ended: list[RunnerOperation] = []
    # A socket's path has at most 107 bytes, and pytest's folders are long.
    with contextlib.ExitStack() as stack:
        name = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cl-"))) / "runner"
        listener = listen(name, None)
        rebooted = threading.Event()

        def end(operation: RunnerOperation, _: int) -> None:
            ended.append(operation)
            rebooted.set()

        runner = RunnerServer(executor, end, frozenset({os.getuid()}), ScratchService(os.getuid()))
        serving = threading.Thread(target=runner.serve, args=(listener,), name="runner", daemon=True)
        serving.start()
        stack.callback(serving.join)
        stack.callback(listener.close)
        stack.callback(lambda: listener.shutdown(socket.SHUT_RDWR))
        send = stack.enter_context(software_tpm(folder / "tpm"))
        provision(send, authority, boot_events)
        config = Config(
            address="127.0.0.1:0",
            boot_configuration=folder / "boot-configuration",
            boot_event_log=folder / "boot-event-log",
            debug=folder / "debug",
            packages=folder / "packages.json",
            store=store,
            runner=name,
            results=executor.results,
            output=executor.output,
            boot_progress=folder / "milestone",
            limits=limits or Limits(),
        )
        clock = ManualClock()
        machine = LocalMachine(send, boot_configuration=config.boot_configuration, boot_event_log=config.boot_event_log)
        agent = boot.start(config, machine, clock=clock, free_memory=free_memory)
        # Closes the file of an upload that a test left unfinished.
        stack.callback(agent.computation.store.wipe)
        stack.callback(agent.stop)
        stack.callback(executor.stop)
        yield RunningAgent(
            agent=agent,
            address=Address("127.0.0.1", agent.port),
            boot_configuration=configuration,
            authority=authority,
            boot_events=boot_events,
            executor=executor,
            clock=clock,
            config=config,
            ended=ended,
            rebooted=rebooted,
            tpm=send,
        )
