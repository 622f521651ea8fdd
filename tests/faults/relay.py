"""A relay with the agent's own TLS key: it sees sealed frames, and changes their order or their bytes.

What no one but a thief of that key can do, a balancer that terminates TLS could; sealing must not depend on TLS.
"""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from typing import Any

import grpc

from cloister import endpoint
from cloister.endpoint import MAX_MESSAGE, Address
from tests.faults.guest_machine import GuestMachine


class Meddling(Enum):
    """What happens to one message of a call."""

    DROPPED = "dropped"
    REPEATED = "repeated"
    SWAPPED = "swapped with the next one"
    CHANGED = "changed in one bit"
    REPLACED = "replaced by an earlier one"
    LAST = "made the last one of its call"


class Relay(grpc.GenericRpcHandler):
    """Forwards calls. Message number ``at`` in one direction, over all calls, is meddled with."""

    def __init__(self, channel: grpc.Channel, at: int, meddling: Meddling, *, downward: bool, chance: random.Random):
        self.met = False
        """Whether the message was reached."""
        self._channel = channel
        self._at = at
        self._meddling = meddling
        self._downward = downward
        self._chance = chance
        self._lock = threading.Lock()
        self._seen = 0
        self._earlier: list[bytes] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        path = handler_call_details.method

        def behaviour(frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._forward(path, frames, context)

        return grpc.stream_stream_rpc_method_handler(behaviour)

    def _forward(self, path: str, frames: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        call: Any = self._channel.stream_stream(path)(self._passed(frames, False), timeout=context.time_remaining())
        context.add_callback(call.cancel)
        try:
            call.initial_metadata()
            context.send_initial_metadata(())
            yield from self._passed(call, True)
        except grpc.RpcError:
            context.set_trailing_metadata(call.trailing_metadata() or ())
            context.abort(call.code(), call.details() or "")

    def _passed(self, frames: Iterator[bytes], downward: bool) -> Iterator[bytes]:
        if downward is not self._downward:
            yield from frames
            return
        held = None
        for frame in frames:
            for sent in self._meddled(frame):
                if sent is None:
                    return
                yield sent
            if held is not None:
                yield held
                held = None
            if self._hold is not None:
                held, self._hold = self._hold, None
        if held is not None:
            yield held

    _hold: bytes | None = None

    def _meddled(self, frame: bytes) -> list[bytes | None]:
        """What is sent in place of a message; None ends the call's direction."""
        with self._lock:
            number = self._seen
            self._seen += 1
            earlier = self._chance.choice(self._earlier) if self._earlier else b""
            self._earlier.append(frame)
        if number != self._at:
            return [frame]
        self.met = True
        match self._meddling:
            case Meddling.DROPPED:
                return []
            case Meddling.REPEATED:
                return [frame, frame]
            case Meddling.SWAPPED:
                self._hold = frame
                return []
            case Meddling.CHANGED:
                changed = bytearray(frame or b"\0")
                changed[self._chance.randrange(len(changed))] ^= 1 << self._chance.randrange(8)
                return [bytes(changed)]
            case Meddling.REPLACED:
                return [earlier]
            case Meddling.LAST:
                return [frame, None]


@contextmanager
def relay(
    machine: GuestMachine, at: int, meddling: Meddling, *, downward: bool, chance: random.Random
) -> Iterator[tuple[Address, Relay]]:
    """A relay to ``machine``, and its address."""
    with endpoint.channel(endpoint.probe(machine.address)) as channel:
        handler = Relay(channel, at, meddling, downward=downward, chance=chance)
        options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
        server = grpc.server(ThreadPoolExecutor(16), handlers=[handler], options=options)
        credentials = grpc.ssl_server_credentials([(machine.tls_key, machine.tls_certificate)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield Address("127.0.0.1", port), handler
        finally:
            server.stop(grace=None).wait()
