"""A party's key pair in its two files."""

import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister import userfile
from cloister.client.files import exclusive
from cloister.errors import InputError
from cloister.protocol import transcript

_RSA_BITS = 3072
_MAX_FILE = 64 * 1024


class KeyType(StrEnum):
    """Types of keys that can be generated."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    RSA = "rsa"


@dataclass(frozen=True)
class Key:
    """A party's private key, and the public key (SubjectPublicKeyInfo, DER) that manifests and workspaces name."""

    private: transcript.PrivateKey
    public: bytes

    @property
    def id(self) -> str:
        """SHA-256 of the public key, hex: its fingerprint."""
        return transcript.key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """Sign with the one algorithm that the key's type has."""
        return transcript.sign(self.private, message)


def public_path(private: Path) -> Path:
    """The file of the public key of a private one: ``lab.pub`` for ``lab.pem``."""
    return private.with_suffix(".pub")


def generate_key(path: Path, kind: KeyType) -> Key:
    """Generate a key pair and write it to two new files.

    Args:
        path: the file of the private key (PEM, PKCS #8, mode 0600). The public key (PEM) gets the suffix .pub.
        kind: the type of the key.

    Returns:
        The key pair.

    Raises:
        InputError: a file exists already, or cannot be written.
    """
    public = public_path(path)
    if public == path:
        raise InputError(
            f"The private key cannot be called {path}: .pub is the suffix of the public key.",
            hint="Name the private key NAME.pem.",
        )
    for taken in (path, public):
        if taken.exists():
            raise InputError(f"{taken} exists; a key is never overwritten.", hint="Choose another name.")
    made = _new(kind)
    key = Key(made, transcript.spki_of(made.public_key()))
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        exclusive.write(path, pem, 0o600)
        try:
            exclusive.write(public, public_pem(key.public))
        except BaseException:
            path.unlink()
            raise
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be written: {error.strerror}.") from error
    return key


def _new(kind: KeyType) -> transcript.PrivateKey:
    match kind:
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.ECDSA:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            return rsa.generate_private_key(65537, _RSA_BITS)


def load_key(path: Path) -> Key:
    """The key pair whose private key is at ``path``. Raises InputError."""
    pem = _read(path)
    if b"PRIVATE KEY" not in pem:
        public = b"PUBLIC KEY" in pem
        hint = "This is the public key; name your private key, NAME.pem." if public else "`keys` makes one."
        raise InputError(f"{path} is not a private key in PEM.", hint=hint)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"Other users can read the private key {path}.", hint=f"Run: chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise InputError(
            f"The private key {path} is encrypted with a passphrase, which is not supported.",
            hint="Name an unencrypted key; `keys` makes one.",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} is not a private key in PEM.", hint="`keys` makes one.") from error
    if not isinstance(private, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InputError(f"{path} holds a key of an unsupported type.", hint="`keys` makes a supported one.")
    public = transcript.spki_of(private.public_key())
    transcript.load_public_key(public)
    return Key(private, public)


def read_public_key(path: Path) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) at ``path``. Raises InputError."""
    return parse_public_key(_read(path), what=str(path))


def parse_public_key(pem: bytes, *, what: str) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) of PEM text; ``what`` names it in errors. Raises InputError."""
    if b"PRIVATE KEY" in pem:
        raise InputError(f"{what} is a private key, expected a public key.", hint="Name the .pub file beside it.")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{what} is not a public key in PEM.", hint="`keys` makes one.") from error
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    transcript.load_public_key(spki)
    return spki


def public_pem(spki: bytes) -> bytes:
    """The PEM text of a public key."""
    return transcript.load_public_key(spki).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _read(path: Path) -> bytes:
    try:
        content = userfile.read(path, _MAX_FILE)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _MAX_FILE:
        raise InputError(f"{path} is too large for a key.")
    return content
