"""A workspace's own certificate authority, and the certificates of its software TPMs' attestation keys."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID, ObjectIdentifier

from infra.provider.errors import ProviderError

KEY_FILE = "key.pem"
ATTESTATION_KEY = ObjectIdentifier("2.23.133.8.3")
"""tcg-kp-AIKCertificate (TCG EK Credential Profile, 3.1.5)."""

_YEARS = 10
_BACKDATED = datetime.timedelta(hours=1)


def create_authority(workspace: str, folder: Path) -> bytes:
    """Write a new key into ``folder`` (mode 0600) and return the authority's certificate (DER)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Cloister workspace {workspace}: local authority")
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / KEY_FILE
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(pem)
    return certificate.public_bytes(Encoding.DER)


def certify(folder: Path, authority: bytes, point: bytes, subject: str) -> bytes:
    """The certificate (DER) of the attestation key ``point`` (uncompressed, P-256) of the CVM ``subject``.

    ``authority`` is the certificate (DER) that belongs to the key in ``folder``.
    """
    issuer = x509.load_der_x509_certificate(authority)
    key = load_key(folder, authority)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    certificate = (
        _builder(_name(subject), issuer.subject, public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ATTESTATION_KEY]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.DER)


def load_key(folder: Path, authority: bytes) -> ec.EllipticCurvePrivateKey:
    """The key in ``folder`` that belongs to the certificate ``authority`` (DER). Raises ProviderError."""
    try:
        key = load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ProviderError(f"Cannot read the private key of the workspace's authority: {error}.") from error
    expected = x509.load_der_x509_certificate(authority).public_key()
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != expected:
        raise ProviderError(f"{folder / KEY_FILE} does not match the certificate of the workspace's authority.")
    return key


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
    )


def _name(common: str) -> x509.Name:
    # RFC 5280 limits a common name to 64 characters.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )
