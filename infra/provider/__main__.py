"""The plugin process: the engine starts it with the address of its log, and reads the port that it prints."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import FrameType

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from infra.provider.qemu.ports import LOOPBACK
from infra.provider.servicer import LocalProvider

_THREADS = 16
_MOST_BYTES = 400 * 1024 * 1024
_WATCH_SECONDS = 1.0
_GRACE_SECONDS = 3.0


def main(arguments: list[str]) -> None:
    """Serve until the engine stops this process, or has ended itself."""
    provider = LocalProvider(arguments[0] if arguments else None)
    server = grpc.server(
        ThreadPoolExecutor(_THREADS),
        options=[("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.so_reuseport", 0)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    ended = Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    engine = os.getppid()
    while not ended.wait(_WATCH_SECONDS) and os.getppid() == engine:
        pass
    # A running boot is stopped and cleaned up before this process ends.
    provider.cancelled.set()
    server.stop(_GRACE_SECONDS).wait()


if __name__ == "__main__":
    main(sys.argv[1:])
