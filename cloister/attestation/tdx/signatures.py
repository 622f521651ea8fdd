"""Intel's signatures: ECDSA P-256 with SHA-256 as r and s, 32 bytes each, big endian."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloister.attestation.x509.certificate import Certificate

_SIZE = 64
_SHA256 = ec.ECDSA(hashes.SHA256())


def is_signed_by(certificate: Certificate, signature: bytes, data: bytes) -> bool:
    """Return whether the certificate's key (ECDSA P-256) made ``signature`` (r and s) over ``data``."""
    key = certificate.key
    return isinstance(key, ec.EllipticCurvePublicKey) and is_signed_with(key, signature, data)


def is_signed_with(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Return whether the P-256 ``key`` made ``signature`` (r and s, 64 bytes) over ``data``, with SHA-256."""
    if not isinstance(key.curve, ec.SECP256R1) or len(signature) != _SIZE:
        return False
    try:
        encoded = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        key.verify(encoded, data, _SHA256)
    except (InvalidSignature, ValueError):
        return False
    return True
