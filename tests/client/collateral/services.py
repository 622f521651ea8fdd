"""A server with the interfaces of the vendors' services that fails like them on request."""

import datetime
import ipaddress
import json
import ssl
import urllib.parse
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloister.attestation.testkit import Authority, SoftwareTpm
from tests.http_server import QuietHandler, Reply, http_server

NOW = datetime.datetime(2026, 3, 20, 12, tzinfo=datetime.UTC)
ISSUER = Authority.create(NOW, "Issuer")
LEAF = ISSUER.certify(SoftwareTpm.create().key.public_key())


def pem(*certificates: bytes) -> str:
    texts = [x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) for der in certificates]
    return b"".join(texts).decode()


def revocations(until: datetime.datetime, since: datetime.datetime = NOW) -> bytes:
    """A CRL of an untrusted key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
    builder = x509.CertificateRevocationListBuilder(name, since, until)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def signed(member: str, until: datetime.datetime) -> bytes:
    """A document of Intel's service, with the members that the cache reads."""
    body = {"id": "TDX", "version": 3, "nextUpdate": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return json.dumps({member: body, "signature": "00" * 64}, separators=(",", ":")).encode()


@dataclass
class Server:
    """``replies`` by path with query, taken from the front; the last one stays. ``asked`` has all paths."""

    address: str
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    def reply(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)


@contextmanager
def serving(folder: Path | None = None) -> Generator[Server, None, None]:
    """Over https when there is a ``folder`` for the certificate, which is then in ``server.pem`` there."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            server.seen.append({name.lower(): value for name, value in self.headers.items()})
            known = server.replies.get(self.path, [Reply(b"not found", 404)])
            reply = known.pop(0) if len(known) > 1 else known[0]
            reply.send(self)

    tls = None
    if folder is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(_certificate(folder))
    with http_server(Handler, tls) as port:
        server = Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
        yield server


def intel(server: Server, fmspc: str, authority: str, *, until: datetime.datetime) -> None:
    """All answers of Intel's service for one platform."""
    chain = urllib.parse.quote(pem(LEAF, ISSUER.certificate))
    tdx, sgx = "/tdx/certification/v4", "/sgx/certification/v4"
    server.reply(f"{tdx}/tcb?fmspc={fmspc}", Reply(signed("tcbInfo", until), headers={"TCB-Info-Issuer-Chain": chain}))
    server.reply(
        f"{tdx}/qe/identity",
        Reply(signed("enclaveIdentity", until), headers={"SGX-Enclave-Identity-Issuer-Chain": chain}),
    )
    server.reply(
        f"{sgx}/pckcrl?ca={authority}&encoding=der",
        Reply(revocations(until), headers={"SGX-PCK-CRL-Issuer-Chain": chain}),
    )
    server.reply("/IntelSGXRootCA.der", Reply(revocations(until)))


def _certificate(folder: Path) -> Path:
    """A key and its own certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(today).not_valid_after(today + datetime.timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
