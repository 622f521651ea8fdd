"""Ends gRPC channels, also one on which a call was interrupted while it began."""

import threading

import grpc

_SECONDS = 2.0
"""A close takes milliseconds, or for ever."""


def close_channel(channel: grpc.Channel) -> None:
    """End the connection.

    A KeyboardInterrupt between the registration of a channel's first call and the start of the thread that takes its
    events leaves a call that never ends, and ``Channel.close`` waits for it (grpcio 1.81.1: ``integrated_call`` and
    ``_run_channel_spin_thread`` in grpc/_channel.py, ``_close`` in _cygrpc/channel.pyx.pxi). Such a channel is left to
    the end of the process.
    """
    closing = threading.Thread(target=channel.close, name="close channel", daemon=True)
    closing.start()
    closing.join(_SECONDS)
