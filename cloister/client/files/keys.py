"""A party's key pair: made once, kept in two files, read again for every command."""

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


class Kind(StrEnum):
    """What kind of key pair to make."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    RSA = "rsa"


@dataclass(frozen=True)
class Key:
    """A party's private key and the public one (SubjectPublicKeyInfo, DER) that manifests and workspaces name."""

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
    """Where the public key stands beside a private one: ``lab.pem`` has ``lab.pub``."""
    return private.with_suffix(".pub")


def generate(path: Path, kind: Kind) -> Key:
    """Make a key pair: the private key (PEM, PKCS #8, mode 0600) at ``path``, the public one (PEM) beside it.

    Never overwrites a file. Raises InputError.
    """
    public = public_path(path)
    if public == path:
        raise InputError(f"{path} ends in .pub, which is the public key's name.", hint="Name the private key NAME.pem.")
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


def _new(kind: Kind) -> transcript.PrivateKey:
    match kind:
        case Kind.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case Kind.ECDSA:
            return ec.generate_private_key(ec.SECP256R1())
        case Kind.RSA:
            return rsa.generate_private_key(65537, _RSA_BITS)


def load(path: Path) -> Key:
    """The key pair whose private key stands at ``path``. Raises InputError."""
    pem = _read(path)
    if b"PRIVATE KEY" not in pem:
        public = b"PUBLIC KEY" in pem
        hint = "It is the public one, for the others; name yours, NAME.pem." if public else "`keys` makes one."
        raise InputError(f"{path} is not a private key in PEM.", hint=hint)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"Others may read the private key {path}.", hint=f"Run: chmod 600 {path}")
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise InputError(f"The private key {path} is protected by a passphrase, which is not supported.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} is not a private key in PEM.", hint="`keys` makes one.") from error
    if not isinstance(private, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InputError(f"{path} holds a key of a kind that is not accepted.", hint="`keys` makes one that is.")
    public = transcript.spki_of(private.public_key())
    transcript.load_public_key(public)
    return Key(private, public)


def load_public(path: Path) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) at ``path``. Raises InputError."""
    return parse_public(_read(path), what=str(path))


def parse_public(pem: bytes, *, what: str) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) of PEM text; ``what`` names it in errors. Raises InputError."""
    if b"PRIVATE KEY" in pem:
        raise InputError(f"{what} is a private key; a public one belongs here.", hint="It stands beside it as .pub.")
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
