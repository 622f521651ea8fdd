"""Keys in the forms of other tools, made from given keys."""

import base64
import datetime
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from cloister.keyfile import der

PASSPHRASE = b"a passphrase"
NOT_ENCRYPTED = serialization.NoEncryption()
ENCRYPTED = serialization.BestAvailableEncryption(PASSPHRASE)
OPENSSH_ENCRYPTED = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1).build(PASSPHRASE)


def pem(label, data):
    """PEM with any label."""
    return f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----\n".encode()


def private(key, encoding=Encoding.PEM, form=PrivateFormat.PKCS8, encryption=NOT_ENCRYPTED):
    """A private key as the library writes it."""
    return key.private_bytes(encoding, form, encryption)


def public(key, encoding=Encoding.PEM, form=PublicFormat.SubjectPublicKeyInfo):
    """The public key as the library writes it."""
    return key.public_key().public_bytes(encoding, form)


def line(key, comment=b" demo@laptop"):
    """The public key as OpenSSH writes it."""
    return public(key, Encoding.OpenSSH, PublicFormat.OpenSSH) + comment + b"\n"


def raw_public(key):
    """What RFC 5958 puts beside the private key."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.public_key().public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return public(key, Encoding.X962, PublicFormat.UncompressedPoint)
    return public(key, Encoding.DER, PublicFormat.PKCS1)


def rfc5958(key, *, explicit=False, beside=None, attributes=b""):
    """A private key with its public key: as RFC 5958 has it, or in the explicit form of ring and Java."""
    _, algorithm, secret = der.whole(private(key, Encoding.DER)).children()
    bits = b"\0" + raw_public(beside or key)
    tail = der.encode(0xA1, der.encode(3, bits)) if explicit else der.encode(0x81, bits)
    attributes = der.encode(0xA0, attributes) if attributes else b""
    return der.encode(0x30, der.encode(2, b"\1") + algorithm.encoded + secret.encoded + attributes + tail)


def _oid(dotted):
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = b""
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.insert(0, number & 0x7F | 0x80)
        content += bytes(groups)
    return der.encode(6, content)


def pbes2(plain, *, scrypt=False, hashed=True, parameters=b""):
    """EncryptedPrivateKeyInfo (RFC 8018) around any PKCS #8, with AES-256-CBC.

    ``parameters``: what the file says of the derivation, in place of the right ones.
    """
    salt, vector = b"s" * 16, b"v" * 16
    if scrypt:
        key = Scrypt(salt, 32, 1024, 8, 1).derive(PASSPHRASE)
        numbers = der.encode(2, b"\4\0") + der.encode(2, b"\x08") + der.encode(2, b"\1")
        said = der.encode(4, salt) + (parameters or numbers)
        derivation = _oid("1.3.6.1.4.1.11591.4.11") + der.encode(0x30, said)
    else:
        key = PBKDF2HMAC(hashes.SHA256() if hashed else hashes.SHA1(), 32, salt, 1000).derive(PASSPHRASE)
        prf = der.encode(0x30, _oid("1.2.840.113549.2.9") + b"\5\0") if hashed else b""
        said = der.encode(4, salt) + (parameters or der.encode(2, b"\x03\xe8") + prf)
        derivation = _oid("1.2.840.113549.1.5.12") + der.encode(0x30, said)
    cipher = _oid("2.16.840.1.101.3.4.1.42") + der.encode(4, vector)
    scheme = der.encode(0x30, der.encode(0x30, derivation) + der.encode(0x30, cipher))
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    secret = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    return der.encode(0x30, der.encode(0x30, _oid("1.2.840.113549.1.5.13") + scheme) + der.encode(4, secret))


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(key, encoding=Encoding.PEM):
    """A certificate of the key, long expired, by an issuer that no one knows."""
    issuer = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder(
        _name("issuer"),
        _name("lab"),
        key.public_key(),
        7,
        datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2002, 1, 1, tzinfo=datetime.UTC),
    )
    return builder.sign(issuer, None).public_bytes(encoding)


def certificate_v1(key):
    """The same in version 1, which does not say its version and has no extensions (RFC 5280, section 4.1)."""
    signed, *rest = der.whole(certificate(key, Encoding.DER)).children()
    fields = [field.encoded for field in signed.children() if field.tag not in (0xA0, 0xA3)]
    parts = [der.encode(der.SEQUENCE, b"".join(fields)), *(one.encoded for one in rest)]
    return der.encode(der.SEQUENCE, b"".join(parts))


def request(key, encoding=Encoding.PEM):
    """A certificate request."""
    return x509.CertificateSigningRequestBuilder(_name("lab")).sign(key, None).public_bytes(encoding)


def revocation_list(key):
    """A certificate revocation list."""
    moment = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateRevocationListBuilder(_name("lab"), moment, moment + datetime.timedelta(days=1))
    return builder.sign(key, None).public_bytes(Encoding.PEM)


def openssh_certificate(key):
    """A user certificate of OpenSSH."""
    builder = serialization.SSHCertificateBuilder().public_key(key.public_key()).serial(1)
    builder = builder.type(serialization.SSHCertificateType.USER).key_id(b"demo").valid_for_all_principals()
    builder = builder.valid_after(0).valid_before(1000)
    return builder.sign(ed25519.Ed25519PrivateKey.generate()).public_bytes() + b" demo\n"


def fields(*parts):
    """Fields of SSH's binary form."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def security_key(key):
    """The public key of a security key, and the file that stands for its private key."""
    kind = b"sk-ssh-ed25519@openssh.com"
    blob = fields(kind, key.public_key().public_bytes_raw(), b"ssh:")
    secret = b"openssh-key-v1\0" + fields(b"none", b"none", b"") + b"\0\0\0\1" + fields(blob, b"\0" * 64)
    return kind + b" " + base64.b64encode(blob) + b" demo\n", pem("OPENSSH PRIVATE KEY", secret)


def with_cipher(openssh, name):
    """An encrypted private key of OpenSSH that names another cipher."""
    body = base64.b64decode(b"".join(openssh.split(b"-----")[2].split()))
    return pem("OPENSSH PRIVATE KEY", body.replace(fields(b"aes256-ctr"), fields(name)))
