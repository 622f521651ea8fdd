"""An agent on the network: its address, its certificate, and a channel that accepts only that certificate.

The certificate by itself proves nothing: anyone can make one. Its key must also be in the evidence
(docs/protocol.md, "Session").
"""

import contextlib
import functools
import hashlib
import socket
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.x509.certificate import Certificate
from cloister.errors import InputError, ProofError, UnreachableError
from cloister.protocol.text import decimal

PORT = 6110
"""The agent's port, if an address has none."""

MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes of one message on a channel: evidence and frames are about 1 MiB."""


@dataclass(frozen=True)
class Address:
    """Where an agent listens: a host name or IP address, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``host:port``, ``host``, ``[IPv6]:port``. Raises InputError."""
        host, port = text.strip(), str(PORT)
        if host.startswith("["):
            host, closed, rest = host[1:].partition("]")
            if not closed or (rest and not rest.startswith(":")):
                raise _not_an_address(text)
            port = rest[1:] or port
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        if not host or "/" in host or any(char.isspace() for char in host):
            raise _not_an_address(text)
        number = decimal(port, 5)
        if number is None or not 0 < number < 65536:
            raise _not_an_address(text)
        return cls(host, number)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _not_an_address(text: str) -> InputError:
    return InputError(f"{text!r} is not an address.", hint="An address looks like 127.0.0.1:6110 or [::1]:6110.")


PING_SECONDS, PING_ANSWER_SECONDS = 30.0, 20.0
"""During a call, after how long without a byte the agent is asked whether it is there, and how long it may take to
answer. The agent lets a client ask every 10 seconds.
"""


@dataclass(frozen=True)
class Endpoint:
    """The agent found at an address, and its certificate."""

    address: Address
    certificate: Certificate

    @property
    def key(self) -> bytes:
        """The key in the certificate (SubjectPublicKeyInfo, DER)."""
        return self.certificate.spki

    def key_digest(self) -> bytes:
        """SHA-256 of the key, 32 bytes."""
        return hashlib.sha256(self.key).digest()


def reach(address: Address, *, timeout: float = 5.0) -> None:
    """Connect by TCP and disconnect. Raises UnreachableError."""
    with _connected(address, timeout):
        pass


@functools.cache
def _any_certificate() -> ssl.SSLContext:
    """TLS 1.3 with any server: the evidence decides which key is right."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def probe(address: Address, *, timeout: float = 10.0) -> Endpoint:
    """Fetch the certificate of the server at ``address``, over TLS 1.3 only.

    ``timeout`` is in seconds. Raises UnreachableError, or ProofError when the server does not support it.
    """
    deadline = time.monotonic() + timeout
    with _connected(address, timeout) as plain:
        try:
            # One deadline for everything: ssl limits the whole handshake to the time that is left.
            plain.settimeout(max(0.001, deadline - time.monotonic()))
            with _any_certificate().wrap_socket(plain) as secure:
                certificate = secure.getpeercert(binary_form=True)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            # A machine that is stopping or starting does this, seen through a forwarded port. Which of the two it is
            # depends on the version of OpenSSL.
            raise _unreachable(address, "the connection was closed") from error
        except ssl.SSLError as error:
            raise ProofError(
                f"{address} answers, but the handshake of TLS 1.3 failed ({error.reason or 'no TLS'}).",
                hint="Check that the port is the agent's, which accepts TLS 1.3 only. If it is, something between you "
                "and the CVM changes the traffic.",
            ) from error
        except TimeoutError as error:
            raise _unreachable(address, f"no answer within {timeout:.0f} seconds") from error
        except OSError as error:
            raise _unreachable(address, error.strerror or "the connection was closed") from error
    if not certificate:
        raise ProofError(f"{address} presented no certificate.")
    return Endpoint(address, _certificate(address, certificate))


@contextlib.contextmanager
def _connected(address: Address, timeout: float) -> Generator[socket.socket, None, None]:
    try:
        connection = _connect(address, timeout)
    except TimeoutError as error:
        raise _unreachable(address, f"no answer within {timeout:.0f} seconds") from error
    except (OSError, UnicodeError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or str(error)) from error
    with connection:
        yield connection


def _connect(address: Address, timeout: float) -> socket.socket:
    """A connection to the first of a name's addresses that answers, within ``timeout`` for all of them together."""
    deadline = time.monotonic() + timeout
    failed: OSError = TimeoutError()
    for family, kind, protocol, _, place in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.connect(place)
        except OSError as error:
            connection.close()
            failed = error
            if time.monotonic() >= deadline:
                raise TimeoutError from error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failed


def _unreachable(address: Address, reason: str) -> UnreachableError:
    return UnreachableError(
        f"Cannot connect to {address}: {reason}.",
        hint="Check the address, that the CVM runs (it may be starting), and that its network lets you in. The "
        "platform team sees its state with `invoke workspace.status`, and starts it again with `invoke workspace.up`.",
    )


def _certificate(address: Address, der: bytes) -> Certificate:
    try:
        return Certificate.parse(der)
    except MalformedEvidence as error:
        raise ProofError(f"{address} presented an invalid certificate.") from error


def _server_name(endpoint: Endpoint) -> str:
    """The first name in the certificate: gRPC compares names, but here the name proves nothing."""
    try:
        names = endpoint.certificate.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise ProofError(f"The certificate of {endpoint.address} has no host name.") from error
    if not found:
        raise ProofError(f"The certificate of {endpoint.address} has no host name.")
    return found[0]


def channel(endpoint: Endpoint) -> grpc.Channel:
    """A channel that accepts only the probed certificate: it is the only root."""
    pem = endpoint.certificate.parsed.public_bytes(serialization.Encoding.PEM)
    options = [
        ("grpc.ssl_target_name_override", _server_name(endpoint)),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        # A proxy from the environment would be used for this connection, but was not for the probe.
        ("grpc.enable_http_proxy", 0),
        # The agent refuses a repeated frame: only the client decides what is retried.
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        # A line that is dead without a word would else be waited for until the call's deadline: days, for a large
        # download, in which this end has nothing to send and TCP nothing to repeat.
        ("grpc.keepalive_time_ms", int(PING_SECONDS * 1000)),
        ("grpc.keepalive_timeout_ms", int(PING_ANSWER_SECONDS * 1000)),
        # The same for gRPC's own pings, with which it measures a line: no other is sent while one is on its way.
        ("grpc.http2.ping_timeout_ms", int(PING_ANSWER_SECONDS * 1000)),
    ]
    return grpc.secure_channel(str(endpoint.address), grpc.ssl_channel_credentials(pem), options)
