"""The baselines: a file over a raw TLS 1.3 socket into a file, with SHA-256 of what arrives or without.

``python -m benchmarks.transfer.raw receive KIND FILE`` and ``... send FILE PORT CERTIFICATE``, both with a buffer of
1 MiB that is used again, unbuffered files, and the cipher that OpenSSL prefers.
"""

import hashlib
import json
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.transfer.world import WITH_DIGEST

_PIECE = 1024 * 1024
_SIZE = 8


def receive(kind: str, target: Path) -> None:
    """One file from one connection; its digest, or zeros, go back when all of it is written."""
    from agent_runtime.rpc.keys import TlsIdentity

    identity = TlsIdentity.generate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as pem:
        pem.write(identity.key + identity.certificate)
    context.load_cert_chain(pem.name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps({"port": listener.getsockname()[1], "certificate": pem.name}), flush=True)
        connection = listener.accept()[0]
    with context.wrap_socket(connection, server_side=True) as peer, target.open("wb", buffering=0) as out:
        left = int.from_bytes(peer.recv(_SIZE), "big")
        state, buffer = hashlib.sha256(), memoryview(bytearray(_PIECE))
        while left:
            size, wanted = 0, min(_PIECE, left)
            while size < wanted:
                size += peer.recv_into(buffer[size:wanted])
            if kind == WITH_DIGEST:
                state.update(buffer[:size])
            out.write(buffer[:size])
            left -= size
        peer.sendall(state.digest())
    Path(pem.name).unlink()


def send(source: Path, port: int, certificate: str) -> None:
    """Send a file; prints the seconds from its first byte to the answer."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as peer, source.open("rb", 0) as file:
        began = time.monotonic()
        peer.sendall(source.stat().st_size.to_bytes(_SIZE, "big"))
        buffer = memoryview(bytearray(_PIECE))
        while size := file.readinto(buffer):
            peer.sendall(buffer[:size])
        if len(peer.recv(hashlib.sha256().digest_size)) != hashlib.sha256().digest_size:
            raise SystemExit("The receiver did not answer.")
        print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2], Path(sys.argv[3]))
    else:
        send(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
