"""Starts an agent. It measures its boot configuration and its key before it listens."""

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc

from agent_runtime.clock import Clock
from agent_runtime.computation import capacity
from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.computation import Computation
from agent_runtime.computation.context import ComputationContext
from agent_runtime.computation.events import SignedEventLog
from agent_runtime.computation.results import ResultSlots
from agent_runtime.computation.scratch import Scratch
from agent_runtime.config import Config
from agent_runtime.errors import AgentError
from agent_runtime.limits import Limits
from agent_runtime.operations.journal import JournalEvent
from agent_runtime.operations.operations import Operations
from agent_runtime.platform.attester import Attester
from agent_runtime.platform.machine import PlatformMachine
from agent_runtime.rpc.calls import CallHandler
from agent_runtime.rpc.deadlines import Deadlines
from agent_runtime.rpc.keys import EventKey, TlsIdentity
from agent_runtime.rpc.session import Sessions
from agent_runtime.runner.client import RunnerClient
from agent_runtime.service import Service
from cloister.attestation.evidence import Platform
from cloister.protocol import receipt
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.sealing import MAX_FRAME
from cloister.protocol.wheels import image_packages

_M_ARENA_MAX = -8
"""mallopt(3); malloc.h of glibc."""

_SWEEP_SECONDS = 15.0
_NO_DEBUG_IMAGE = b"no\n"
_FRAME_OVERHEAD = 4096
"""Bytes of a frame's message besides its ciphertext."""


@dataclass(frozen=True)
class Agent:
    """A listening agent."""

    port: int
    """The TCP port that it listens on."""

    tls: TlsIdentity
    """The key and certificate of its TLS endpoint."""

    computation: Computation
    """The machine's one computation."""

    sessions: Sessions
    """The sessions of all parties."""

    log: SignedEventLog
    """The event log."""

    operations: Operations
    """The agent's counters and its own log."""

    _server: grpc.Server
    """The gRPC server that accepts calls."""

    _deadlines: Deadlines
    """The thread that ends calls of idle peers."""

    _stopped: threading.Event
    """Set by :meth:`stop`."""

    def wait(self) -> None:
        """Serve until :meth:`stop` or :meth:`end`. Expired results and sessions are removed meanwhile."""
        while not self._stopped.wait(_SWEEP_SECONDS):
            self.sweep()

    def sweep(self) -> None:
        """Remove expired results and sessions."""
        self.computation.expire()
        self.sessions.sweep()
        self.operations.clock_watch.look()
        self.operations.counters.sample()

    def end(self) -> None:
        """Let :meth:`wait` return."""
        self._stopped.set()

    def stop(self, grace: float | None = None) -> None:
        """Stop listening and end every call.

        With ``grace``, calls that have one answer may finish within so many seconds; those that stream end with
        STOPPING at their next frame, and what is left is CANCELLED then.
        """
        self._stopped.set()
        if grace is not None:
            self.operations.journal.add(JournalEvent.STOPPING)
            self.operations.stopping.set()
            self.log.wake()
        self._server.stop(grace=grace).wait()
        self._deadlines.stop()


def start(
    config: Config,
    machine: PlatformMachine,
    *,
    clock: Clock | None = None,
    free_memory: capacity.FreeBytes = capacity.free_memory,
) -> Agent:
    """Start an agent. Raises CloisterError or OSError when the machine cannot attest or has no boot configuration."""
    _bound_heap()
    clock = clock or Clock()
    if not machine.boot_configuration:
        raise AgentError("The platform provided no boot configuration.")
    boot_configuration = BootConfiguration.parse(machine.boot_configuration)
    operations = Operations(clock)
    event_key, tls = EventKey.generate(), TlsIdentity.generate()
    attester = Attester(
        machine,
        event_log_key=event_key.spki,
        boot_configuration=boot_configuration,
        limits=config.limits,
        operations=operations,
    )
    log = SignedEventLog(event_key, clock)
    runner = RunnerClient(config.runner, results=config.results, output=config.output)
    declared = boot_configuration.scratch
    scratch = Scratch(runner, runner.open_scratch(declared) if declared else 0)
    computation = Computation(
        ComputationContext(
            boot_configuration=boot_configuration,
            confidential=_is_confidential(machine, config.debug),
            attester=attester,
            log=log,
            store=AssetStore(config.store, scratch),
            slots=ResultSlots(config.store / "slots"),
            runner=runner,
            sign=lambda payload: receipt.sign(payload, event_key.private),
            limits=config.limits,
            clock=clock,
            packages=image_packages.parse(config.packages.read_bytes()),
            free_memory=free_memory,
            free_store=lambda: capacity.free_store(config.store),
            operations=operations,
        )
    )
    operations.follow(computation.lifecycle.is_running, computation.lifecycle.has_run)
    sessions = Sessions(
        attester=attester,
        tls=tls,
        boot_configuration_digest=boot_configuration.digest(),
        identify=computation.identify,
        limits=config.limits,
        clock=clock,
    )
    deadlines = Deadlines()
    methods = Service(computation, sessions, log, config.limits, operations).methods()
    server = grpc.server(
        ThreadPoolExecutor(config.limits.calls, thread_name_prefix="call"),
        handlers=[
            CallHandler(methods, sessions=sessions, deadlines=deadlines, limits=config.limits, operations=operations)
        ],
        options=_options(config.limits),
        maximum_concurrent_rpcs=config.limits.calls,
    )
    credentials = grpc.ssl_server_credentials([(tls.key, tls.certificate)])
    port = server.add_secure_port(config.address, credentials)
    server.start()
    operations.journal.add(JournalEvent.STARTED, platform=machine.platform.value)
    return Agent(port, tls, computation, sessions, log, operations, server, deadlines, threading.Event())


def _bound_heap() -> None:
    """Share two heaps: else each thread of a call gets its own, which keeps the frames that were freed in it."""
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _is_confidential(machine: PlatformMachine, debug: Path) -> bool:
    """Whether a verdict would call this machine confidential: its hardware attests, and its image is not a debug image.

    The image's file ``debug`` is measured with its root file system. Raises OSError when the file is missing.
    """
    return debug.read_bytes() == _NO_DEBUG_IMAGE and machine.platform is not Platform.LOCAL


def _options(limits: Limits) -> list[tuple[str, int]]:
    """gRPC's channel arguments (include/grpc/impl/channel_arg_names.h); times in milliseconds."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_concurrent_streams", limits.streams_per_connection),
        ("grpc.max_receive_message_length", MAX_FRAME + _FRAME_OVERHEAD),
        ("grpc.max_send_message_length", MAX_FRAME + _FRAME_OVERHEAD),
        ("grpc.max_metadata_size", limits.header_bytes),
        ("grpc.server_handshake_timeout_ms", limits.handshake_seconds * 1000),
        ("grpc.max_connection_idle_ms", limits.idle_connection_seconds * 1000),
        ("grpc.keepalive_time_ms", limits.ping_seconds * 1000),
        ("grpc.keepalive_timeout_ms", limits.ping_answer_seconds * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # gRPC would let each peer have more on the way as its line seems to need, without a bound.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", limits.stream_window),
    ]
