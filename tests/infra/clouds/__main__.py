"""The plugin of a cloud: the engine starts it with the address of its log and reads the port that it prints."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.infra.clouds.servicer import CloudProvider

_THREADS = 8
_WATCH_SECONDS = 1.0


def main(package: str) -> None:
    """Serve as the plugin of ``package`` until the engine exits or kills it."""
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(CloudProvider(package), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    engine, never = os.getppid(), Event()
    while os.getppid() == engine:
        never.wait(_WATCH_SECONDS)
    server.stop(None)


if __name__ == "__main__":
    main(sys.argv[1])
