"""One call with one answer."""

from typing import Any

import grpc
from google.protobuf.message import Message

from cloister.client.connection import refusal
from cloister.client.connection.refusal import DamagedStream
from cloister.v1 import agent_pb2

_SERVICE = agent_pb2.DESCRIPTOR.services_by_name["Agent"].full_name


def path(method: str) -> str:
    """Where gRPC finds a method of the agent."""
    return f"/{_SERVICE}/{method}"


def plain(channel: grpc.Channel, method: str, answer: type[Message]) -> Any:
    """A method outside of sessions. A stub would prepare all of the service's, which takes as long as the call."""
    return channel.unary_unary(path(method), lambda request: request.SerializeToString(), answer.FromString)


def call(method: Any, request: Any, *, seconds: float, doing: str, address: object) -> Any:
    """The answer of a stub's method; ``doing`` says what the call is for. Raises CloisterError."""
    try:
        answer = method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise refusal.translate(error, doing, address) from None
    if answer is None:  # gRPC's answer of a call that ends well without a message
        raise DamagedStream(f"While {doing}, the answer was missing.")
    return answer
