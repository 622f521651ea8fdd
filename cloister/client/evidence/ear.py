"""A verdict as a signed EAT Attestation Result: an EAR in a JWT (RFC 7519) in JWS compact serialisation (RFC 7515).

The key's type decides the algorithm (RFC 7518, section 3; RFC 8037), and ``kid`` names the key by the fingerprint that
Cloister uses everywhere: a reader chooses the key that it trusts, the token brings none.
"""

import base64
import datetime
import importlib.metadata
import json

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from cloister.attestation.ear import ear_claims
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.result.verdict import Verdict
from cloister.client.files.keys import Key

_ECDSA = {"secp256r1": ("ES256", 32), "secp384r1": ("ES384", 48)}


def sign_ear(verdict: Verdict | RawVerdict, key: Key, *, issued: datetime.datetime | None = None) -> str:
    """A verdict as an EAR, for a system that trusts the holder of a key.

    Args:
        verdict: the verdict.
        key: the verifier's key: its own party key, or another one.
        issued: the time of the EAR, aware; None for now.

    Returns:
        The JWT. Only an accepted verdict on fresh evidence of confidential hardware is ``affirming``.
    """
    build = f"cloister {importlib.metadata.version('cloister')}, key {key.id}"
    claims = ear_claims(verdict, issued=issued or datetime.datetime.now(datetime.UTC), build=build)
    header = {"alg": _algorithm(key), "kid": key.id, "typ": "JWT"}
    signed = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{_encode(_signature(key, signed.encode()))}"


def _algorithm(key: Key) -> str:
    if isinstance(key.private, ed25519.Ed25519PrivateKey):
        return "EdDSA"
    if isinstance(key.private, ec.EllipticCurvePrivateKey):
        return _ECDSA[key.private.curve.name][0]
    return "PS256"


def _signature(key: Key, message: bytes) -> bytes:
    """The signature as JWS has it: of ECDSA both numbers with leading zeros (RFC 7518, section 3.4), not their DER."""
    signature = key.sign(message)
    if not isinstance(key.private, ec.EllipticCurvePrivateKey):
        return signature
    size = _ECDSA[key.private.curve.name][1]
    return b"".join(number.to_bytes(size) for number in utils.decode_dss_signature(signature))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
