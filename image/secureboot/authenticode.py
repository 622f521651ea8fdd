"""Sign an EFI program, and read the signature of a signed one.

Microsoft, "Windows Authenticode Portable Executable Signature Format"; UEFI Specification 2.10, section 32.2.4
(WIN_CERTIFICATE). The signature holds no time: the same program and key give the same bytes, today and in ten years.
"""

import hashlib
import struct

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from image.formats import pe
from image.secureboot import der
from image.secureboot.keys import Signer

# RFC 5652, section 5.1 and 11; RFC 8017, A.2.4; Authenticode, "ASN.1 structures".
_SIGNED_DATA, _CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SHA256, _RSA = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.1"
_SHA256_ALGORITHM = der.encode(der.SEQUENCE, der.identifier(_SHA256), der.encode(der.NULL))
_INDIRECT_DATA, _PE_IMAGE = "1.3.6.1.4.1.311.2.1.4", "1.3.6.1.4.1.311.2.1.15"
# SpcPeImageData: no flags, and a file name that the format calls obsolete (BMPString).
_OBSOLETE = "<<<Obsolete>>>".encode("utf-16-be")
# WIN_CERTIFICATE: length, revision 2.0, WIN_CERT_TYPE_PKCS_SIGNED_DATA.
_CERTIFICATE = struct.Struct("<IHH")
_REVISION, _PKCS = 0x0200, 0x0002


def sign(image: bytes, signer: Signer) -> bytes:
    """``image`` with a signature by ``signer``. Raises ImageError for a program that has one already."""
    digest = pe.authenticode(image)
    signature = signer.key.sign(_signed_attributes(digest), padding.PKCS1v15(), hashes.SHA256())
    return pe.with_certificate(image, _win_certificate(digest, signer.certificate, signature))


def is_signed_by(image: bytes, certificate: bytes) -> bool:
    """Whether ``image`` is signed, in the form that ``sign`` writes, by the RSA key in ``certificate`` (DER).

    Raises ImageError for what is not an EFI program.
    """
    parsed = x509.load_der_x509_certificate(certificate)
    key, found = parsed.public_key(), pe.certificate(image)
    if not isinstance(key, rsa.RSAPublicKey) or not found:
        return False
    digest, size = pe.authenticode(image), key.key_size // 8
    (length, *_) = _CERTIFICATE.unpack_from(found)
    signature = found[length - size : length]
    expected = _win_certificate(digest, parsed, signature)
    try:
        key.verify(signature, _signed_attributes(digest), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return found == expected + bytes(-len(expected) % 8)


def _win_certificate(digest: bytes, certificate: x509.Certificate, signature: bytes) -> bytes:
    signed_data = _signed_data(digest, certificate, signature)
    return _CERTIFICATE.pack(_CERTIFICATE.size + len(signed_data), _REVISION, _PKCS) + signed_data


def _signed_attributes(digest: bytes) -> bytes:
    """What the key signs: the attributes as a SET OF (RFC 5652, section 5.4)."""
    content = der.contents(_indirect_data(digest))
    return der.set_of(
        _attribute(_CONTENT_TYPE, der.identifier(_INDIRECT_DATA)),
        _attribute(_MESSAGE_DIGEST, der.encode(der.OCTET_STRING, hashlib.sha256(content).digest())),
    )


def _signed_data(digest: bytes, certificate: x509.Certificate, signature: bytes) -> bytes:
    signer_info = der.encode(
        der.SEQUENCE,
        der.integer(1),
        der.encode(der.SEQUENCE, certificate.issuer.public_bytes(), der.integer(certificate.serial_number)),
        _SHA256_ALGORITHM,
        der.tagged(0, der.contents(_signed_attributes(digest))),
        der.encode(der.SEQUENCE, der.identifier(_RSA), der.encode(der.NULL)),
        der.encode(der.OCTET_STRING, signature),
    )
    signed_data = der.encode(
        der.SEQUENCE,
        der.integer(1),
        der.set_of(_SHA256_ALGORITHM),
        der.encode(der.SEQUENCE, der.identifier(_INDIRECT_DATA), der.tagged(0, _indirect_data(digest))),
        der.tagged(0, certificate.public_bytes(serialization.Encoding.DER)),
        der.set_of(signer_info),
    )
    return der.encode(der.SEQUENCE, der.identifier(_SIGNED_DATA), der.tagged(0, signed_data))


def _indirect_data(digest: bytes) -> bytes:
    """SpcIndirectDataContent: the program's digest."""
    file = der.tagged(0, der.tagged(2, der.encode(0x80, _OBSOLETE)))
    image = der.encode(der.SEQUENCE, der.encode(der.BIT_STRING, b"\0"), file)
    return der.encode(
        der.SEQUENCE,
        der.encode(der.SEQUENCE, der.identifier(_PE_IMAGE), image),
        der.encode(der.SEQUENCE, _SHA256_ALGORITHM, der.encode(der.OCTET_STRING, digest)),
    )


def _attribute(kind: str, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.identifier(kind), der.set_of(value))
