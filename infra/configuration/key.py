"""Public keys of members, as a configuration has them."""

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from cloister.errors import InputError

_RSA_BITS = 3072
_CURVES = ("secp256r1", "secp384r1")


def parse(text: str) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key in PEM, or of that DER in base64. Raises InputError."""
    data = text.strip()
    try:
        if data.startswith("-----"):
            key = load_pem_public_key(data.encode("ascii"))
        else:
            standard = data.translate(str.maketrans("-_", "+/"))
            key = load_der_public_key(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True))
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as error:
        what = "a private key" if "PRIVATE" in data[:64] else f"{data[:24]!r}..."
        raise InputError(f"{what} is not a public key in PEM or base64.") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_BITS:
        raise InputError(f"an RSA key of {key.key_size} bits is too short; {_RSA_BITS} is the least.")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise InputError(f"the curve {key.curve.name} is not used; P-256 and P-384 are.")
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise InputError("the key is neither Ed25519 nor ECDSA nor RSA.")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
