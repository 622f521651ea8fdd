"""A party's key pair in its two files."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister import userfile
from cloister.errors import InputError
from cloister.keyfile.private import Passphrase, read_private_key
from cloister.protocol import signingkey
from cloister.userfile import FilePath

_RSA_BITS = 3072


class KeyType(StrEnum):
    """Types of keys that can be generated."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    RSA = "rsa"


@dataclass(frozen=True, repr=False)
class Key:
    """A party's private key, and the public key (SubjectPublicKeyInfo, DER) that manifests and workspaces name."""

    private: signingkey.PrivateKey
    public: bytes

    @property
    def id(self) -> str:
        """SHA-256 of the public key, hex: its fingerprint."""
        return signingkey.key_id(self.public)

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def sign(self, message: bytes) -> bytes:
        """Sign with the one algorithm that the key's type has."""
        return signingkey.sign(self.private, message)


def public_path(private: FilePath) -> Path:
    """The file of the public key of a private one: ``lab.pub`` for ``lab.pem``."""
    private = Path(private)
    return private.with_suffix(".pub")


def generate_key(path: FilePath, kind: KeyType) -> Key:
    """Generate a key pair and write it to two new files.

    Args:
        path: the file of the private key (PEM, PKCS #8, mode 0600). The public key (PEM) gets the suffix .pub.
        kind: the type of the key.

    Returns:
        The key pair.

    Raises:
        InputError: a file exists already, or cannot be written.
    """
    path = Path(path)
    if not path.name:
        raise userfile.occupied(path, "", "")
    public = public_path(path)
    if public == path:
        raise InputError(
            f"The private key cannot be called {path}: .pub is the suffix of the public key.",
            hint="Name the private key NAME.pem.",
        )
    for taken in (path, public):
        if taken.exists():
            raise userfile.occupied(taken, "a key is never overwritten", "Choose another name.")
    made = _new(kind)
    key = Key(made, signingkey.spki_of(made.public_key()))
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        userfile.write_new(path, pem, 0o600)
        try:
            userfile.write_new(public, public_pem(key.public))
        except BaseException:
            path.unlink()
            raise
    except OSError as error:
        raise userfile.unwritable(error.filename or path, error) from error
    return key


def _new(kind: KeyType) -> signingkey.PrivateKey:
    match kind:
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.ECDSA:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.RSA:
            return rsa.generate_private_key(65537, _RSA_BITS)


def load_key(path: FilePath, passphrase: Passphrase | None = None) -> Key:
    """The key pair whose private key is at ``path``.

    Args:
        path: PEM, DER or OpenSSH's form, encrypted or not; only its owner may read it.
        passphrase: called with the key's name when it is encrypted.

    Raises:
        InputError: it is another kind of file or key, or the passphrase is missing or wrong.
    """
    path = Path(path)
    private = read_private_key(path, passphrase)
    return Key(private, signingkey.spki_of(private.public_key()))


def public_pem(spki: bytes) -> bytes:
    """The PEM text of a public key."""
    return signingkey.load_public_key(spki).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
