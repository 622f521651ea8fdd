"""The keys that sign here: which types are accepted, how a key is named, and how its signatures are made and verified.

Keys of parties sign session bindings and consents; the agent's event-log key signs events and receipts.
docs/protocol.md ("Session") lists types and algorithms.
"""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from cloister.protocol.canonical import FormatError

MIN_RSA_BITS = 3072
MAX_RSA_BITS = 8192

MAX_SIGNATURE = MAX_RSA_BITS // 8
"""Bytes of the longest signature."""

SUPPORTED = f"Ed25519, ECDSA on P-256 and P-384, and RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
"""The types of keys that :func:`accepted` takes, in words."""

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

_P = 2**255 - 19
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset(y.to_bytes(32, "little") for y in (0, 1, _Y8, _P - _Y8, _P - 1, _P, _P + 1))
"""The y of the eight points of small order of edwards25519, also not reduced; the sign of x does not matter."""

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def load_public_key(spki: bytes) -> PublicKey:
    """A party's public key from its SubjectPublicKeyInfo (DER). Raises FormatError for an unsupported type."""
    try:
        key = serialization.load_der_public_key(spki)
    except Exception as error:  # the library raises several unrelated exceptions for hostile input
        raise FormatError("The public key is not a valid SubjectPublicKeyInfo.") from error
    checked = _accepted(key)
    if spki_of(checked) != spki:
        raise FormatError("The public key is not in its canonical DER form.")
    return checked


def load_event_log_key(spki: bytes) -> ed25519.Ed25519PublicKey:
    """The key of an event log. Raises FormatError unless it is Ed25519: no other type signs events and receipts."""
    key = load_public_key(spki)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise FormatError("The event-log key is not an Ed25519 key.")
    return key


def kind_of(key: object) -> str:
    """Describe a public key in words: ``RSA key of 2048 bits``."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA key of {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA key on {_CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, ed25519.Ed25519PublicKey) and _is_of_small_order(key):
        return "Ed25519 key of small order"
    return f"{type(key).__name__.strip('_').removesuffix('PublicKey')} key"


def accepted(key: object) -> PublicKey | None:
    """The key when its type is one that signs here, else None. All that reads keys asks this function."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return None if _is_of_small_order(key) else key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        return key
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return key
    return None


def _is_of_small_order(key: ed25519.Ed25519PublicKey) -> bool:
    """Whether signatures of a key can be made without its private key (RFC 8032, section 5.1: the cofactor is 8)."""
    raw = key.public_bytes_raw()
    return raw[:31] + bytes([raw[31] & 0x7F]) in _SMALL_ORDER


def _accepted(key: object) -> PublicKey:
    if (found := accepted(key)) is None:
        raise FormatError(f"The public key is an unsupported {kind_of(key)}. Supported are {SUPPORTED}.")
    return found


def spki_of(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo (DER)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(spki: bytes) -> str:
    """Return the name of a key in events, roles and boot configurations: SHA-256 of its SPKI, hex."""
    return hashlib.sha256(spki).hexdigest()


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign with the algorithm of the key's type. Raises FormatError for an unsupported type."""
    _accepted(key.public_key())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(_ecdsa_hash(key.curve)))
    return key.sign(message, _PSS, hashes.SHA256())


def verify(spki: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the key ``spki`` made ``signature`` over ``message``.

    Raises FormatError for a key of an unsupported type.
    """
    return verify_with(load_public_key(spki), signature, message)


def verify_with(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """The same with a key that was loaded by :func:`load_public_key`, for many messages."""
    if len(signature) > MAX_SIGNATURE:
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(_ecdsa_hash(key.curve)))
        else:
            key.verify(signature, message, _PSS, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)


def _ecdsa_hash(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    return hashes.SHA384() if isinstance(curve, ec.SECP384R1) else hashes.SHA256()
