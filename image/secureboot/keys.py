"""A publisher's Secure Boot keys: platform key (PK), key exchange key (KEK) and signature key (db).

UEFI Specification 2.10, section 32.3 (Firmware/OS Key Exchange). Each key has a certificate that it signed itself.
Firmware uses the key in a certificate and ignores its period (EDK II, CryptoPkg: X509_V_FLAG_NO_CHECK_TIME).
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.signedimage import DB
from image.errors import ImageError

PK, KEK = "PK", "KEK"
NAMES = (PK, KEK, DB)
"""The keys, by the names of the variables that they are enrolled in."""

CERTIFICATE, PRIVATE = ".der", ".key"
"""The ends of the files' names."""

LARGEST = 64 * 1024
"""The largest file of a key or certificate, in bytes."""

# What every firmware and cloud verifies (Azure: "Secure Boot UEFI keys"; GCP: "Creating custom Shielded VM images").
_BITS = 2048
_DAYS = 365 * 20
_LONGEST_OWNER = 60  # RFC 5280, appendix A.1: a common name has at most 64 characters


class KeysError(ImageError):
    """The files of Secure Boot keys are missing or invalid, or there are keys already."""

    remedy = "Make keys with `invoke image.keys --keys FOLDER`, or name the folder of yours with --keys."
    exit_code = InputError.exit_code


@dataclass(frozen=True)
class Certificates:
    """The certificates of the three keys (X.509, DER)."""

    pk: bytes
    kek: bytes
    db: bytes

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From the files PK.der, KEK.der and db.der in ``folder``. Raises KeysError."""
        return cls(*(certificate(folder / f"{name}{CERTIFICATE}") for name in NAMES))

    @classmethod
    def of(cls, by_name: Mapping[str, bytes]) -> Self:
        """From the name of each key and its certificate."""
        return cls(*(by_name[name] for name in NAMES))

    def by_name(self) -> dict[str, bytes]:
        """Name of the key -> certificate."""
        return dict(zip(NAMES, (self.pk, self.kek, self.db), strict=True))


@dataclass(frozen=True)
class Signer:
    """A private key with its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """From the files ``name``.key and ``name``.der in ``folder``. Raises KeysError."""
        path = folder / f"{name}{PRIVATE}"
        try:
            key = serialization.load_pem_private_key(_read(path), None)
        except (TypeError, ValueError) as error:
            raise KeysError(f"{path} is not a private key in PEM without a passphrase.") from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeysError(f"{path} is not an RSA key, which firmware verifies signatures with.")
        found = x509.load_der_x509_certificate(certificate(folder / f"{name}{CERTIFICATE}"))
        if found.public_key() != key.public_key():
            raise KeysError(f"{path} is not the key of {name}{CERTIFICATE}.")
        return cls(key, found)

    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


def create(folder: Path, owner: str, *, now: datetime | None = None) -> dict[str, Signer]:
    """Make the three keys and write them into ``folder``: private keys with mode 0600. Nothing is ever overwritten.

    ``owner`` appears in the certificates. Raises KeysError, and then leaves no new file.
    """
    if not 0 < len(owner.encode("utf-8", "replace")) <= _LONGEST_OWNER or not owner.isprintable():
        raise KeysError(
            f"The owner has {len(owner)} characters, or some that cannot be printed; certificates name it.",
            hint=f"Pass 1 to {_LONGEST_OWNER} bytes of text with --owner.",
        )
    _require_absent(folder)
    made = {name: _make(f"{owner} {name}", now or datetime.now(UTC)) for name in NAMES}
    written: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o022:
            raise KeysError(
                f"Other users may write to {folder}, which would hold keys.",
                hint="Name another folder, or if only you use it: chmod go-w.",
            )
        for name, signer in made.items():
            for end, contents, mode in ((PRIVATE, _pem(signer.key), 0o600), (CERTIFICATE, signer.der(), 0o644)):
                userfile.write_new(folder / f"{name}{end}", contents, mode)
                written.append(folder / f"{name}{end}")
    except FileExistsError as error:
        _remove(written)
        raise _present(Path(error.filename)) from error
    except OSError as error:
        _remove(written)
        raise KeysError(f"Cannot write keys to {folder}: {error.strerror}.", hint="Name another folder.") from error
    except BaseException:
        _remove(written)
        raise
    return made


def require_private(folder: Path) -> None:
    """Raise KeysError if others may read a private key: a copy often has the mode of any other file."""
    for path in (folder / f"{name}{PRIVATE}" for name in NAMES):
        if path.is_file() and path.stat().st_mode & 0o077:
            raise KeysError(f"Other users can read the private key {path}.", hint=f"chmod 600 {shlex.quote(str(path))}")


def _require_absent(folder: Path) -> None:
    """Before keys are made, which takes a second."""
    for path in (folder / f"{name}{end}" for name in NAMES for end in (PRIVATE, CERTIFICATE)):
        if os.path.lexists(path):
            raise _present(path)


def _present(path: Path) -> KeysError:
    return KeysError(
        f"{path} exists, and keys are never overwritten: machines that trust them would start nothing that is signed "
        "with new ones.",
        hint="Use the keys that are there, or name another folder with --keys.",
    )


def certificate(path: Path) -> bytes:
    """The certificate (X.509, DER) in a file. Raises KeysError."""
    der = _read(path)
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except ValueError as error:
        raise KeysError(f"{path} is not a certificate (X.509, DER).") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise KeysError(f"{path} is not the certificate of an RSA key, which firmware verifies signatures with.")
    return der


def _read(path: Path) -> bytes:
    try:
        return userfile.read(path, LARGEST)
    except OSError as error:
        raise KeysError(f"Cannot read {path}: {error.strerror}.") from error


def _make(name: str, now: datetime) -> Signer:
    key = rsa.generate_private_key(65537, _BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.replace(microsecond=0))
        .not_valid_after(now.replace(microsecond=0) + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return Signer(key, builder.sign(key, hashes.SHA256()))


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _remove(written: list[Path]) -> None:
    for path in written:
        os.unlink(path)
