"""Private keys of RFC 5958, which add the public key to PKCS #8.

``cryptography`` reads PKCS #8 of version 0 only (RFC 5208), without the public key, in plain and encrypted.
Sources: RFC 5958, section 2; RFC 8018, appendix A (PBES2, PBKDF2); RFC 7914, section 7 (scrypt).
"""

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cloister.keyfile import der, derivation
from cloister.protocol import signingkey

_HMAC: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.2.7": hashes.SHA1(),  # noqa: S303 what RFC 8018 has by default; it opens the party's own key
    "1.2.840.113549.2.8": hashes.SHA224(),
    "1.2.840.113549.2.9": hashes.SHA256(),
    "1.2.840.113549.2.10": hashes.SHA384(),
    "1.2.840.113549.2.11": hashes.SHA512(),
}
_AES_CBC = {"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}


def without_public_key(data: bytes) -> tuple[bytes, bytes | None]:
    """The same key without attributes and public key, of version 0; and the public key, when there was one.

    Raises NotDer.
    """
    version, algorithm, private, *rest = der.whole(data).children()
    if not version.number:
        return data, None
    public = None
    for element in rest:
        if element.tag == der.IMPLICIT_1:
            public = element.content[1:]
        elif element.tag == der.EXPLICIT_1:  # as earlier drafts had it, and ring and Java write it
            inner = element.children()
            public = inner[0].content[1:] if inner and inner[0].tag == der.BIT_STRING else b""
    parts = der.encode(der.INTEGER, b"\0") + algorithm.encoded + private.encoded
    return der.encode(der.SEQUENCE, parts), public


def belongs(public: bytes, key: signingkey.PublicKey) -> bool:
    """Return whether the public key beside a private key is its own. ``key`` is the private key's public key."""
    encoding, forms = serialization.Encoding, serialization.PublicFormat
    if isinstance(key, ed25519.Ed25519PublicKey):
        return public == key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey):
        points = (forms.UncompressedPoint, forms.CompressedPoint)
        return public in [key.public_bytes(encoding.X962, form) for form in points]
    return public == key.public_bytes(encoding.DER, forms.PKCS1)


def decrypted(data: bytes, passphrase: bytes) -> bytes | None:
    """The PKCS #8 that an EncryptedPrivateKeyInfo holds; None when it does not open, or not by PBES2 with AES-CBC.

    The caller has bounded the work (:func:`~cloister.keyfile.derivation.of_pkcs8`).
    """
    try:
        algorithm, secret = der.whole(data).children()
        name, parameters = algorithm.children()
        if der.oid(name.content) != derivation.PBES2:
            return None
        function, cipher = parameters.children()
        cipher_name, vector = cipher.children()
        size = _AES_CBC[der.oid(cipher_name.content)]
        key = _derived(function, size, passphrase)
        opening = Cipher(algorithms.AES(key), modes.CBC(vector.content)).decryptor()
        padded = opening.update(secret.content) + opening.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        made = unpadder.update(padded) + unpadder.finalize()
    except Exception:  # noqa: BLE001 - the library raises several unrelated exceptions for numbers that it cannot use
        return None
    return made if der.form_of(made) == "PRIVATE KEY" else None


def _derived(function: der.Element, size: int, passphrase: bytes) -> bytes:
    name, parameters = function.children()
    salt, count, *rest = parameters.children()
    # What bounded the work has seen integers only.
    if salt.tag != der.OCTET_STRING or count.tag != der.INTEGER:
        raise der.NotDer
    numbers = [part.number for part in rest if part.tag == der.INTEGER]
    match der.oid(name.content):
        case kind if kind == derivation.PBKDF2:
            hashed = [part for part in rest if part.tag == der.SEQUENCE]
            prf = der.oid(hashed[0].children()[0].content) if hashed else "1.2.840.113549.2.7"
            return PBKDF2HMAC(_HMAC[prf], size, salt.content, count.number).derive(passphrase)
        case kind if kind == derivation.SCRYPT and len(numbers) >= 2:
            return Scrypt(salt.content, size, count.number, numbers[0], numbers[1]).derive(passphrase)
        case other:
            raise KeyError(other)
