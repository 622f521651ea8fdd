"""A channel can be closed whatever happened on it."""

import threading

import grpc
import pytest
from grpc import _channel

from cloister.client.connection import channel
from cloister.client.connection.channel import close_channel

PATH = "/cloister.v1.Agent/Status"


def interrupt(*given: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_while_a_call_begins_does_not_keep_the_channel_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made = grpc.insecure_channel("127.0.0.1:1")
    with monkeypatch.context() as patched:
        patched.setattr(_channel, "_run_channel_spin_thread", interrupt)
        with pytest.raises(KeyboardInterrupt):
            made.stream_stream(PATH)(iter(()))
    monkeypatch.setattr(channel, "_SECONDS", 0.05)
    close_channel(made)
    assert "close channel" in {thread.name for thread in threading.enumerate()}, "gRPC closes it: this can go"


def test_channel_is_closed_before_the_function_returns() -> None:
    made = grpc.insecure_channel("127.0.0.1:1")
    close_channel(made)
    with pytest.raises(ValueError, match="closed"):
        made.unary_unary(PATH)(b"")
