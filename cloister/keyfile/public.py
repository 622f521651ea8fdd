"""Reads public keys in the forms of common tools."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from cloister import userfile
from cloister.errors import InputError
from cloister.keyfile import content, der, openssh
from cloister.keyfile.content import Content
from cloister.keyfile.refusal import KeySource
from cloister.protocol import signingkey
from cloister.userfile import FilePath


@dataclass(frozen=True)
class PublicKey:
    """A public key (SubjectPublicKeyInfo, DER). ``note`` is a sentence for the reader; empty for a plain key."""

    spki: bytes
    note: str = ""

    @property
    def id(self) -> str:
        """SHA-256 of the key, hex: its fingerprint."""
        return signingkey.key_id(self.spki)

    @property
    def kind(self) -> str:
        """Its type in words: ``Ed25519 key``."""
        return signingkey.kind_of(signingkey.load_public_key(self.spki))


def read_public_key(path: FilePath) -> PublicKey:
    """The public key in the file at ``path``. Raises InputError."""
    path = Path(path)
    return _parse(read_file(path), KeySource.of(path))


def parse_public_key(data: bytes, *, what: str) -> PublicKey:
    """The public key in PEM, DER, base64, a line of OpenSSH, or a certificate.

    Args:
        data: the key as text or bytes.
        what: names it in errors.

    Returns:
        The key. Of a certificate nothing else is read or checked, and the note says so.

    Raises:
        InputError: it is of another kind, or of another type than a session accepts.
    """
    return _parse(data, KeySource(what))


def accepted(key: object, source: KeySource) -> signingkey.PublicKey:
    """The public key, when its type is one that a session accepts. Raises InputError."""
    if (found := signingkey.accepted(key)) is None:
        raise source.unsupported(signingkey.kind_of(key))
    return found


def read_file(path: Path) -> bytes:
    """The content of a key's file. Raises InputError."""
    try:
        data = userfile.read(path, content.MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    if len(data) > content.MAX_SIZE:
        raise InputError(f"{path} is too large for a key: more than {content.MAX_SIZE} bytes.")
    return data


def _parse(data: bytes, source: KeySource) -> PublicKey:
    found = content.read(data, source)
    if any(one.form in content.PRIVATE for one in found):
        raise source.a_private_key()
    chosen = content.select(found, content.PUBLIC | content.CERTIFICATES, source)
    if chosen is None:
        raise source.unknown()
    note = ""
    if chosen.form in content.CERTIFICATES:
        note = f"{source.what} is a certificate; only its key is taken. Its names, dates and issuer are not checked."
    return PublicKey(signingkey.spki_of(_loaded(chosen, source)), note)


def _loaded(found: Content, source: KeySource) -> signingkey.PublicKey:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that are rejected below
            if found.form in (openssh.LINE, openssh.CERTIFICATE_LINE):
                key: object = serialization.load_ssh_public_key(found.data)
            else:
                spki = der.certified_key(found.data) if found.form == "CERTIFICATE" else found.data
                key = serialization.load_der_public_key(spki)
    except Exception as error:  # the library raises several unrelated exceptions for keys that it does not know
        raise source.unreadable() from error
    return accepted(key, source)
