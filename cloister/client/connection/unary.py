"""One call with one answer."""

from typing import Any

import grpc

from cloister.client.connection import refusal
from cloister.client.connection.refusal import DamagedStream


def call(method: Any, request: Any, *, seconds: float, doing: str, address: object) -> Any:
    """The answer of a stub's method; ``doing`` says what the call is for. Raises CloisterError."""
    try:
        answer = method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise refusal.translate(error, doing, address) from error
    if answer is None:  # gRPC's answer of a call that ends well without a message
        raise DamagedStream(f"While {doing}, the answer was missing.")
    return answer
