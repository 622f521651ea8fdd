"""Reads private keys in the forms of common tools."""

import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister.errors import InputError
from cloister.keyfile import content, der, derivation, openssh, pkcs8
from cloister.keyfile.content import Content
from cloister.keyfile.public import PublicKey, accepted, read_file, read_public_key
from cloister.keyfile.refusal import KeySource
from cloister.protocol import signingkey
from cloister.userfile import FilePath

_MAX_ENCRYPTED = 8 * 1024
"""Bytes of a key whose numbers only the library decrypts. RSA of 8,192 bits has 4.7 KB, 6.5 KB as PEM."""

Passphrase = Callable[[str], bytes]
"""Gives the passphrase of the private key that its argument names. Called only for a key that is encrypted."""


def read_private_key(path: Path, passphrase: Passphrase | None = None) -> signingkey.PrivateKey:
    """The private key in the file at ``path``: PEM, DER or OpenSSH's form, encrypted or not.

    Args:
        path: the file, which only its owner may read.
        passphrase: asked when the key is encrypted.

    Raises:
        InputError: the file is of another kind, the key of another type than a session accepts, or the passphrase is
            missing or wrong.
    """
    source = KeySource.of(path)
    found = content.read(read_file(path), source)
    chosen = content.select(found, content.PRIVATE, source)
    if chosen is None:
        raise (
            source.a_certificate() if any(one.form in content.CERTIFICATES for one in found) else source.a_public_key()
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError(f"Other users can read the private key {path}.", hint=f"Run: chmod 600 {source.file}")
    return _PrivateContent(chosen, source, passphrase).key()


def describe_key(path: FilePath, passphrase: Passphrase | None = None) -> PublicKey:
    """The public key of the file at ``path``, which holds it or its private key. Raises InputError."""
    path = Path(path)
    found = content.read(read_file(path), KeySource.of(path))
    if any(one.form in content.PRIVATE for one in found):
        return PublicKey(signingkey.spki_of(read_private_key(path, passphrase).public_key()))
    return read_public_key(path)


class _PrivateContent:
    """One private key on its way out of its file."""

    def __init__(self, found: Content, source: KeySource, passphrase: Passphrase | None) -> None:
        self._found = found
        self._source = source
        self._passphrase = passphrase

    def key(self) -> signingkey.PrivateKey:
        """The key, of a type that a session accepts. Raises InputError."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that are rejected below
            match self._found.form:
                case openssh.LABEL:
                    key = self._openssh()
                case "ENCRYPTED PRIVATE KEY":
                    key = self._encrypted()
                case "PRIVATE KEY":
                    key = self._pkcs8(self._found.data)
                case _ if self._found.text:
                    self._require_small(self._found.text)
                    key = self._load(serialization.load_pem_private_key, self._found.text, self._secret())
                case _:
                    key = self._plain(self._found.data)
        public = accepted(_public_of(key), self._source)
        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise self._source.unsupported(signingkey.kind_of(public))
        return key

    def _openssh(self) -> object:
        try:
            cipher, kind, blob = openssh.private_header(self._found.data)
        except ValueError as error:
            raise self._source.damaged() from error
        if kind.startswith("sk-"):
            raise self._source.security_key()
        if openssh.is_dsa(kind):
            raise self._source.dsa()
        # The public key is not encrypted: no passphrase is asked for in vain.
        try:
            public = serialization.load_ssh_public_key(openssh.key_line(kind, blob))
        except Exception as error:  # the library raises several unrelated exceptions for keys that it does not know
            raise self._source.unreadable() from error
        accepted(public, self._source)
        if cipher not in openssh.CIPHERS:
            raise self._source.cipher(cipher)
        secret = None
        if cipher != "none":
            self._require_bounded(derivation.of_openssh)
            secret = self._secret()
        return self._load(serialization.load_ssh_private_key, openssh.pem(self._found.data), secret)

    def _encrypted(self) -> object:
        self._require_bounded(derivation.of_pkcs8)
        secret = self._secret()
        if (plain := pkcs8.decrypted(self._found.data, secret)) is not None:
            return self._pkcs8(plain)
        self._require_small(self._found.data)
        try:
            return serialization.load_der_private_key(self._found.data, secret)
        except Exception as error:  # the library raises several unrelated exceptions for keys that it does not know
            raise self._source.wrong_passphrase() from error

    def _pkcs8(self, data: bytes) -> object:
        try:
            plain, public = pkcs8.without_public_key(data)
        except ValueError as error:
            raise self._source.damaged() from error
        key = self._plain(plain)
        own = signingkey.accepted(_public_of(key))
        if public is not None and own is not None and not pkcs8.belongs(public, own):
            raise self._source.other_pair()
        return key

    def _plain(self, data: bytes) -> object:
        """A key that is not encrypted. RSA is bounded before the library looks for factors of its primes."""
        try:
            bits = der.rsa_bits(data)
        except der.NotDer as error:
            raise self._source.damaged() from error
        if bits > signingkey.MAX_RSA_BITS:
            raise self._source.unsupported(f"RSA key of {bits} bits")
        return self._load(serialization.load_der_private_key, data, None)

    def _require_small(self, data: bytes) -> None:
        """Raise InputError for an encrypted key of more bytes than the largest RSA key that a session accepts."""
        if len(data) > _MAX_ENCRYPTED:
            raise self._source.unsupported(f"encrypted key of more than {_MAX_ENCRYPTED} bytes")

    def _load(self, load: Callable[[bytes, bytes | None], object], data: bytes, secret: bytes | None) -> object:
        try:
            return load(data, secret)
        except (ValueError, InvalidTag) as error:
            raise (self._source.unreadable() if secret is None else self._source.wrong_passphrase()) from error
        except Exception as error:  # the library raises several unrelated exceptions for keys that it does not know
            raise self._source.unreadable() from error

    def _require_bounded(self, excess_of: Callable[[bytes], derivation.Excess | None]) -> None:
        """Raise InputError if it is too much work to derive the key, before a passphrase is asked for."""
        try:
            excess = excess_of(self._found.data)
        except (ValueError, IndexError) as error:
            raise self._source.damaged() from error
        if excess is not None:
            raise self._source.derivation(excess.found, excess.most, is_openssh=self._found.form == openssh.LABEL)

    def _secret(self) -> bytes:
        if self._passphrase is None:
            raise self._source.no_passphrase()
        return self._passphrase(self._source.what)


def _public_of(key: Any) -> object:
    return key.public_key()
