"""The plugin process: the engine starts it with its address, and reads the port that it prints."""

import asyncio
import os
import signal
import sys

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from infra.component.servicer import ComponentProvider, ComponentServicer
from infra.provider.qemu.ports import LOOPBACK

_MOST_BYTES = 400 * 1024 * 1024
_WATCH_SECONDS = 1.0


async def serve(engine: str) -> None:
    """Serve until the engine stops this process, or has ended itself."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.so_reuseport", 0)])
    servicer = ComponentServicer(ComponentProvider(), engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    parent = os.getppid()
    while not ended.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(ended.wait(), _WATCH_SECONDS)
        except TimeoutError:
            continue
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else ""))
