"""Addresses, and the probe, which accepts only TLS 1.3."""

import socket
import ssl
import threading
from contextlib import suppress

import pytest

from agent_runtime.rpc.keys import TlsIdentity
from cloister import endpoint
from cloister.endpoint import Address
from cloister.errors import InputError, ProofError, UnreachableError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7000", Address("127.0.0.1", 7000)),
        ("cvm.example.org", Address("cvm.example.org", 6110)),
        ("[::1]:7000", Address("::1", 7000)),
        ("[::1]", Address("::1", 6110)),
        ("::1", Address("::1", 6110)),
    ],
)
def test_addresses_are_parsed(text, address):
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":7000",
        "host:",
        "host:0",
        "host:65536",
        "host:1e3",
        "[::1",
        "[::1]x",
        "a b",
        "http://x",
        "host:+1",
        "host:1_0",
        f"host:{'1' * 5000}",
        "host:\u0661",
    ],
)
def test_invalid_address_is_rejected(text):
    with pytest.raises(InputError, match="is not an address"):
        Address.parse(text)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, None])
def test_tls_older_than_1_3_is_rejected(tmp_path, version):
    identity = TlsIdentity.generate()
    (tmp_path / "key.pem").write_bytes(identity.key + identity.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "key.pem")
    if version:
        context.maximum_version = version

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                if version:
                    context.wrap_socket(connection, server_side=True)
                else:
                    connection.sendall(b"220 mail.example.org\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(ProofError, match=r"TLS 1\.3"):
                endpoint.probe(Address("127.0.0.1", listener.getsockname()[1]))
        finally:
            thread.join()


def test_invalid_certificate_ends_the_probe_with_a_proof_error(tmp_path):
    """A server may present anything: here a certificate of a version that X.509 does not have."""
    identity = TlsIdentity.generate()
    der = ssl.PEM_cert_to_DER_cert(identity.certificate.decode())
    fourth = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020103"), 1)
    (tmp_path / "key.pem").write_bytes(identity.key + ssl.DER_cert_to_PEM_cert(fourth).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "key.pem")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(ProofError, match="presented an invalid certificate"):
                endpoint.probe(Address("127.0.0.1", listener.getsockname()[1]))
        finally:
            thread.join()


@pytest.mark.parametrize("error", [ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError])
def test_connection_that_closes_in_the_handshake_shows_nothing(monkeypatch, error):
    """A machine that is starting does that; OpenSSL 3.0 and 3.2 name it differently."""

    def closes(*_: object, **__: object) -> None:
        raise error(8, "closed")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", closes)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(UnreachableError):
        endpoint.probe(endpoint.Address("127.0.0.1", server.getsockname()[1]))


def test_the_whole_probe_has_one_deadline(monkeypatch):
    """Silent addresses, each with its own timeout, and one that sends a byte now and then."""
    waited: list[float] = []

    class Still(socket.socket):
        def connect(self, address):
            waited.append(self.gettimeout() or 0)
            raise TimeoutError

    clock = iter(range(0, 1000, 4))
    place = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [place] * 50)
    monkeypatch.setattr(socket, "socket", Still)
    monkeypatch.setattr(endpoint.time, "monotonic", lambda: next(clock))
    with pytest.raises(UnreachableError, match="no answer within 20 seconds"):
        endpoint.probe(Address("many.example.org", 6110), timeout=20)
    assert 0 < len(waited) < 5
    assert waited == sorted(waited, reverse=True)


def test_slow_handshake_ends_with_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hung_up = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x40\x00")
                while not hung_up.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(UnreachableError):
                endpoint.probe(Address("127.0.0.1", listener.getsockname()[1]), timeout=0.5)
        finally:
            hung_up.set()
            thread.join()
