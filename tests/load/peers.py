"""Peers that keep an agent busy without a key: ``python -m tests.load.peers HOST PORT IDLE HALF_OPEN SESSIONS``."""

import contextlib
import random
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import grpc

from cloister import endpoint
from cloister.endpoint import Address
from cloister.v1 import agent_pb2, agent_pb2_grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303")
_SECONDS = 30
_PAUSE = 0.5
"""Seconds between two rounds of malformed input."""


def _tcp(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=_SECONDS)


def tls(address: Address) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(_tcp(address))


@contextmanager
def idle(address: Address, count: int) -> Iterator[None]:
    """Connections that finish the TLS handshake and say nothing."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(tls(address))
        yield


@contextmanager
def half_open(address: Address, count: int) -> Iterator[None]:
    """Connections that send the beginning of a TLS handshake."""
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(_tcp(address))
            connection.sendall(_CLIENT_HELLO[: 1 + number % len(_CLIENT_HELLO)])
        yield


def probes(address: Address, chance: random.Random) -> None:
    """Connections without TLS: closed at once, with another protocol, with anything."""
    for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", PREFACE, chance.randbytes(2000)):
        with contextlib.suppress(OSError), _tcp(address) as connection:
            connection.sendall(said)


def malformed_http2(address: Address, chance: random.Random) -> None:
    """Broken HTTP/2 inside TLS: no preface, unknown and endless frames, a flood of settings and pings."""
    settings = b"\0\0\0\4\0\0\0\0\0"
    for said in (
        chance.randbytes(5000),
        PREFACE + chance.randbytes(5000),
        PREFACE + settings * 2000,
        PREFACE + settings + (b"\0\0\x08\6\0\0\0\0\0" + bytes(8)) * 2000,
        PREFACE + settings + b"\xff\xff\xff\0\1\0\0\0\1" + bytes(5000),
        PREFACE + settings + (b"\0\0\4\3\0\0\0\0\1" + bytes(4)) * 2000,
    ):
        with contextlib.suppress(OSError), tls(address) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(said)


def malformed_calls(address: Address, chance: random.Random) -> None:
    """Calls of every method with messages that cannot be parsed, are too large, or belong to no session."""
    frame = agent_pb2.Sealed(session_id="0" * 32, stream=1, counter=0, last=True, ciphertext=chance.randbytes(64))
    methods = [one.name for one in agent_pb2.DESCRIPTOR.services_by_name["Agent"].methods]
    with endpoint.channel(endpoint.probe(address)) as channel:
        for method in methods:
            for message in (b"", chance.randbytes(300), frame.SerializeToString(), bytes(3 * 1024 * 1024)):
                call = channel.stream_stream(f"/cloister.v1.Agent/{method}")(iter([message]), timeout=_SECONDS)
                with contextlib.suppress(grpc.RpcError):
                    list(call)


def unbound_sessions(address: Address, count: int) -> None:
    """Sessions that are opened, each with a quote of the TPM, and never bound."""
    with endpoint.channel(endpoint.probe(address)) as channel:
        stub = agent_pb2_grpc.AgentStub(channel)
        for number in range(count):
            with contextlib.suppress(grpc.RpcError):
                stub.OpenSession(agent_pb2.OpenSessionRequest(nonce=number.to_bytes(32)), timeout=_SECONDS)


@contextmanager
def repeated(*actions: Callable[[], object]) -> Iterator[None]:
    """Repeat each action in a thread of its own until the context ends."""
    ended = threading.Event()

    def repeat(action: Callable[[], object]) -> None:
        while not ended.is_set():
            # The agent may refuse a connection: that is how it defends itself.
            with contextlib.suppress(Exception):
                action()

    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def main(host: str, port: str, idle_connections: str, half_open_connections: str, sessions: str) -> None:
    """All of these at one time; the line ``{}`` says that they are there."""
    address, chance, ended = Address(host, int(port)), random.Random(0), threading.Event()
    unbound_sessions(address, int(sessions))

    def now_and_then(action: Callable[[Address, random.Random], None]) -> Callable[[], object]:
        return lambda: (action(address, chance), ended.wait(_PAUSE))

    actions = [now_and_then(action) for action in (probes, malformed_http2, malformed_calls)]
    with idle(address, int(idle_connections)), half_open(address, int(half_open_connections)), repeated(*actions):
        print("{}", flush=True)
        sys.stdin.read()
        ended.set()


if __name__ == "__main__":
    main(*sys.argv[1:])
