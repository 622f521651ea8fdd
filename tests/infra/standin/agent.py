"""Stands in for an agent: TLS, and the health service."""

import datetime
from concurrent import futures

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cloister.v1 import health_pb2, health_pb2_grpc


def serve(port: int, *, unfinished: bool) -> grpc.Server:
    """Listen on ``port`` of this machine, 0 for any; the health service says whether a run is under way."""

    class Health(health_pb2_grpc.HealthServicer):
        def Check(self, request, context):
            if request.service != "cloister.run":
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            statuses = health_pb2.HealthCheckResponse
            return statuses(status=statuses.SERVING if unfinished else statuses.NOT_SERVING)

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cloister.invalid")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    credentials = grpc.ssl_server_credentials([(pem, certificate.public_bytes(Encoding.PEM))])
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    return server
