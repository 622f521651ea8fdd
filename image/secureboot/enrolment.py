"""What a firmware is given to trust a publisher's keys: signature lists, and signed updates of PK, KEK and db.

UEFI Specification 2.10, section 32.4.1 (EFI_SIGNATURE_LIST), 8.2.2 (EFI_VARIABLE_AUTHENTICATION_2), 8.3 (EFI_TIME).
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from cloister.protocol.signedimage import DB
from image.secureboot import der, varstore
from image.secureboot.keys import KEK, PK, Certificates, Signer
from image.secureboot.varstore import StoredVariable

OWNER = UUID("6f2d0e6c-5a8f-4c1e-9f0b-2b7a5c9d1e34")
"""The owner of each entry of a signature list: random but fixed, since PCR 7 measures it."""

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
VENDORS = {PK: GLOBAL, KEK: GLOBAL, DB: IMAGE_SECURITY}
"""The vendor GUID of each variable (sections 3.3 and 32.4.1)."""

ATTRIBUTES = 0x27
"""Non-volatile, boot services, runtime, time-based authenticated write access."""

_X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_PKCS7 = UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
# EFI_SIGNATURE_LIST: type, size of the list, of its header, and of each entry. An entry starts with its owner.
_LIST = struct.Struct("<16sIII")
# EFI_TIME: year, month, day, hour, minute, second, pad, nanosecond, time zone, daylight, pad.
_TIME = struct.Struct("<HBBBBBxIhBx")
# WIN_CERTIFICATE_UEFI_GUID: length, revision 2.0, WIN_CERT_TYPE_EFI_GUID, type.
_CERTIFICATE = struct.Struct("<IHH16s")
_REVISION, _EFI_GUID = 0x0200, 0x0EF1


def signature_entry(certificate: bytes) -> bytes:
    """EFI_SIGNATURE_DATA: the owner and a certificate (DER)."""
    return OWNER.bytes_le + certificate


def signature_list(certificate: bytes) -> bytes:
    """EFI_SIGNATURE_LIST of one certificate (DER)."""
    entry = signature_entry(certificate)
    return _LIST.pack(_X509.bytes_le, _LIST.size + len(entry), 0, len(entry)) + entry


def variables(certificates: Certificates) -> Iterator[StoredVariable]:
    """The three variables, for a store that is written from outside. Each bears the time of its certificate."""
    for name, certificate in certificates.by_name().items():
        yield StoredVariable(name, VENDORS[name], signature_list(certificate), ATTRIBUTES, time_of(certificate))


def enrolled(store: bytes, certificates: Certificates) -> bytes:
    """OVMF's variable store with the keys: firmware with a PK enforces Secure Boot. Raises ImageError."""
    return varstore.add(store, list(variables(certificates)))


def update(variable: StoredVariable, signer: Signer) -> bytes:
    """The contents of a SetVariable call that a firmware accepts because ``signer`` signed it: a file ``.auth``.

    PK and KEK are signed by PK, db by KEK.
    """
    signed = variable.name.encode("utf-16-le") + variable.vendor.bytes_le + variable.attributes.to_bytes(4, "little")
    message = signed + variable.time + variable.contents
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes]
    wrapped = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(message)
        .add_signer(signer.certificate, signer.key, hashes.SHA256())
        .sign(serialization.Encoding.DER, options)
    )
    signature = _signed_data(wrapped)
    size = _CERTIFICATE.size + len(signature)
    header = variable.time + _CERTIFICATE.pack(size, _REVISION, _EFI_GUID, _PKCS7.bytes_le)
    return header + signature + variable.contents


def time_of(certificate: bytes) -> bytes:
    """The start of a certificate's period as EFI_TIME: so that the same keys always give the same updates."""
    return efi_time(x509.load_der_x509_certificate(certificate).not_valid_before_utc)


def efi_time(moment: datetime) -> bytes:
    """EFI_TIME in UTC without fractions, as authenticated variables have it. Months count from 1."""
    utc = moment.astimezone(UTC)
    return _TIME.pack(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, 0, 0, 0)


def _signed_data(wrapped: bytes) -> bytes:
    """The SignedData in a ContentInfo: a firmware may know the one without the other (section 8.2.2)."""
    _, explicit = der.split(der.contents(wrapped))
    return der.contents(explicit)
