"""The port: health checks, and idle or hostile peers."""

import contextlib
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from agent_runtime.limits import Limits
from cloister import endpoint
from cloister.v1 import health_pb2, health_pb2_grpc
from tests.agent_fixture import RunningAgent, running_agent
from tests.agent_runtime.world import World, new_key

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
IDLE = 1000


@contextlib.contextmanager
def health(running: RunningAgent) -> Iterator[health_pb2_grpc.HealthStub]:
    with endpoint.channel(endpoint.probe(running.address)) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def check(running: RunningAgent, service: str) -> int:
    with health(running) as stub:
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status


def test_anyone_can_check_the_agents_health(agent: RunningAgent) -> None:
    assert (check(agent, ""), check(agent, "cloister.v1.Agent")) == (SERVING, SERVING)


def test_an_unknown_service_has_no_health(agent: RunningAgent) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(agent, "other")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_of_the_run_tells_whether_one_is_unfinished(world: World) -> None:
    running = world.running
    assert check(running, "cloister.run") == NOT_SERVING
    world.submit()
    assert check(running, "cloister.run") == SERVING
    with world.session("owner") as session:
        session.stop()
    assert check(running, "cloister.run") == NOT_SERVING


def test_a_thousand_idle_connections_leave_the_agent_usable(world: World) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * IDLE + 512
    if hard < wanted:
        pytest.skip(f"this process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    address = (world.running.address.host, world.running.address.port)
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(address, timeout=30))
        with world.session("owner") as session:
            assert session.status().state == "Idle"


def test_connections_beyond_the_limit_are_closed(tmp_path: Path) -> None:
    with running_agent(tmp_path, (new_key().id,), limits=Limits(connections=4)) as running:
        address = (running.address.host, running.address.port)
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(socket.create_connection(address, timeout=30))
            one_more = stack.enter_context(socket.create_connection(address, timeout=30))
            assert one_more.recv(1) == b""


def test_peer_without_tls_handshake_is_dropped(tmp_path: Path) -> None:
    limits = Limits(handshake_seconds=1)
    with (
        running_agent(tmp_path, (new_key().id,), limits=limits) as running,
        socket.create_connection((running.address.host, running.address.port), timeout=30) as silent,
    ):
        assert silent.recv(1) == b""


def test_peer_with_another_protocol_is_dropped(world: World) -> None:
    address = (world.running.address.host, world.running.address.port)
    with socket.create_connection(address, timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while plain.recv(4096):
            pass
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # gRPC refuses a peer that does not offer HTTP/2 at the end of the handshake.
    with (
        socket.create_connection(address, timeout=30) as connection,
        contextlib.suppress(OSError),
        context.wrap_socket(connection) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while tls.recv(4096):
            pass
    with world.session("owner") as session:
        assert session.status().state == "Idle"
