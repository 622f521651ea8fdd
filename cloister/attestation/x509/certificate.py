"""X.509 certificates (RFC 5280): parsing, and the path from a leaf to a pinned key.

A path ends at exactly one anchor, given as the SHA-256 of its SubjectPublicKeyInfo. No certificate is trusted because
it was sent. Revocation is not checked here (``crl.py``).
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtensionOID, NameOID

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.x509.der import SEQUENCE, DerReader
from cloister.attestation.x509.signers import Signers

MAX_CERTIFICATE_SIZE = 16 * 1024
"""Bytes of one certificate."""

MAX_PATH = 5
"""Certificates of a path, leaf and anchor included."""

MAX_POOL = 32
"""Certificates that are considered in the search for a path."""

TCG_AIK = "2.23.133.8.3"
"""tcg-kp-AIKCertificate, the usage of an attestation key (see W3C Web Authentication, section 8.3.1)."""

HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
"""The accepted hash algorithms of signatures in certificates and revocation lists."""

UNREADABLE = (
    MalformedEvidence,
    ValueError,
    TypeError,
    KeyError,  # for a TLS feature (RFC 7633) that it does not know
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""Raised here and by `cryptography` for bytes that are not a certificate or revocation list, or have invalid
extensions.
"""

_VERSION = 0xA0
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_RSA_BITS = range(2048, 4097)  # larger keys only cost time; no vendor uses one
_RSA_EXPONENT_BITS = 32  # likewise: an exponent can be as long as the key, and all vendors use 65537
_KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}


@dataclass(frozen=True)
class Certificate:
    """What path building needs of a certificate.

    der: the whole certificate.
    subject, issuer: names (DER), as they were signed.
    common_name: that of the subject; empty if there is not exactly one.
    not_before, not_after: the validity period, both ends included.
    is_ca: whether the basic constraints say so.
    path_length: how many authorities may stand below this one; None sets no limit.
    may_sign_certificates: whether the key usage allows it; true without that extension.
    usages: dotted OIDs of the extended key usage; empty without that extension.
    unknown_critical: dotted OIDs of critical extensions that are not understood; usually empty.
    parsed: the certificate as the library has it; ``key`` is its public key.
    """

    der: bytes
    subject: bytes
    issuer: bytes
    common_name: str
    not_before: datetime
    not_after: datetime
    is_ca: bool
    path_length: int | None
    may_sign_certificates: bool
    usages: tuple[str, ...]
    unknown_critical: tuple[str, ...]
    parsed: x509.Certificate
    key: CertificatePublicKeyTypes = field(compare=False, repr=False)
    _signers: Signers[str] = field(default_factory=Signers, init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, der: bytes, field: str = "certificate") -> Self:
        """From DER; ``field`` names it in errors. Raises MalformedEvidence."""
        if len(der) > MAX_CERTIFICATE_SIZE:
            raise MalformedEvidence(field, 0, f"has {len(der)} bytes, at most {MAX_CERTIFICATE_SIZE} are allowed")
        try:
            return cls._read(der)
        except UNREADABLE as error:
            raise MalformedEvidence(field, 0, "is not an X.509 certificate that can be read") from error

    @classmethod
    def _read(cls, der: bytes) -> Self:
        issuer, subject = _names(der)
        parsed = x509.load_der_x509_certificate(der)
        if not der.endswith(b"\0" + parsed.signature):
            # The octet before the signature counts unused bits: the one byte that neither signature nor DER determines.
            raise ValueError("a signature has whole bytes")
        is_ca, path_length, may_sign, usages, unknown = False, None, True, (), []
        for extension in parsed.extensions:
            value = extension.value
            kind = type(value)
            if kind is x509.BasicConstraints:
                is_ca, path_length = value.ca, value.path_length
            elif kind is x509.KeyUsage:
                may_sign = value.key_cert_sign
            elif kind is x509.ExtendedKeyUsage:
                usages = tuple(usage.dotted_string for usage in value)
            if extension.critical and extension.oid not in _KNOWN:
                unknown.append(extension.oid.dotted_string)
        return cls(
            der=der,
            subject=subject,
            issuer=issuer,
            common_name=_common_name(parsed),
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
            is_ca=is_ca,
            path_length=path_length,
            may_sign_certificates=may_sign,
            usages=usages,
            unknown_critical=tuple(unknown),
            parsed=parsed,
            key=parsed.public_key(),
        )

    @functools.cached_property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo (DER)."""
        return self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @functools.cached_property
    def _fingerprint(self) -> bytes:
        return hashlib.sha256(self.spki).digest()

    def fingerprint(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo, 32 bytes: how a key is pinned."""
        return self._fingerprint

    def unsigned_by(self, issuer: Self) -> str:
        """Why the signature does not count as one of ``issuer``, or nothing."""
        return self._signers.ask(issuer.der, lambda: _unsigned(self, issuer))

    def valid_at(self, at: datetime) -> bool:
        """Return whether ``at`` (aware) is in the validity period, both ends included."""
        return self.not_before <= at <= self.not_after


def _names(der: bytes) -> tuple[bytes, bytes]:
    """Issuer and subject in a certificate (RFC 5280, section 4.1).

    Raises ValueError for a serial number that is not positive, which `cryptography` accepts with a warning that a
    future release will not; and MalformedEvidence.
    """
    body = DerReader(der, "certificate").inside(SEQUENCE, "certificate").inside(SEQUENCE, "tbs")
    if body.next_is(_VERSION):
        body.element(_VERSION, "version")
    if not body.unsigned("serial"):
        raise ValueError("a serial number is positive (RFC 5280, section 4.1.2.2)")
    body.element(SEQUENCE, "signature")
    issuer = body.whole(SEQUENCE, "issuer")
    body.element(SEQUENCE, "validity")
    return issuer, body.whole(SEQUENCE, "subject")


def _common_name(parsed: x509.Certificate) -> str:
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    value = names[0].value if len(names) == 1 else ""
    return value if isinstance(value, str) else ""


def spki_digest(spki: bytes) -> bytes:
    """SHA-256 of a SubjectPublicKeyInfo (DER), 32 bytes: how a key is pinned."""
    return hashlib.sha256(spki).digest()


def may_sign(key: object) -> bool:
    """Return whether a signature by ``key`` is accepted: P-256, P-384, or RSA of the sizes that vendors use."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in _RSA_BITS and key.public_numbers().e.bit_length() <= _RSA_EXPONENT_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)


def issuers_among(
    leaf: Certificate, certificates: Iterable[Certificate], known: Sequence[Certificate] = ()
) -> tuple[Certificate, ...]:
    """Those of ``certificates`` that mention an issuer of ``leaf`` or of ``known``, directly or through each other.

    Collateral may have many certificates of other vendors; a path is searched among few.
    """
    names = {leaf.issuer, *(one.issuer for one in known)}
    rest = list(certificates)
    found: list[Certificate] = []
    for _ in range(MAX_PATH):
        fitting = [one for one in rest if any(name in one.der for name in names)]
        if not fitting:
            break
        found += fitting
        names |= {one.issuer for one in fitting}
        taken = {one.der for one in fitting}
        rest = [one for one in rest if one.der not in taken]
    return tuple(found)


def find_path(
    leaf: Certificate, pool: Sequence[Certificate], anchor: bytes, *, longest: int = MAX_PATH
) -> tuple[tuple[Certificate, ...] | None, str]:
    """The path from ``leaf`` to the certificate in ``pool`` whose key has the SHA-256 ``anchor``, or None and why not.

    Every step is checked for name, signature, the issuer's right to issue, its path length, and critical extensions
    that are not understood. The anchor's certificate must be signed by its own key, because anyone can put a public key
    into a certificate with a name, dates and rights of their choice. ``longest`` is the number of certificates that the
    path may have, leaf and anchor included. The caller checks the validity periods.
    """
    if len(pool) > MAX_POOL:
        return None, f"there are {len(pool)} certificates, at most {MAX_POOL} are considered"
    if leaf.unknown_critical:
        return None, f"the leaf has the critical extension {leaf.unknown_critical[0]}, which is not understood"
    reason = f"no certificate with the pinned key {anchor.hex()} is among the issuers of the leaf"
    # Breadth first; each certificate is visited once, so that malicious cross-signing cannot make the search long.
    paths: list[tuple[Certificate, ...]] = [(leaf,)]
    seen = {leaf.der}
    while paths:
        path = paths.pop(0)
        for candidate in pool:
            if candidate.der in seen or candidate.subject != path[-1].issuer:
                continue
            problem = _issues(candidate, path)
            if problem:
                reason = problem
                continue
            if candidate.fingerprint() == anchor:
                if candidate.subject == candidate.issuer and not candidate.unsigned_by(candidate):
                    return (*path, candidate), ""
                reason = "the certificate with the pinned key is not signed by that key"
                continue
            seen.add(candidate.der)
            if len(path) + 1 < longest:
                paths.append((*path, candidate))
    return None, reason


def _issues(issuer: Certificate, path: Sequence[Certificate]) -> str:
    """Why ``issuer`` cannot have issued the last certificate of ``path``, or nothing."""
    if not issuer.is_ca or not issuer.may_sign_certificates:
        return "an issuer of the path is not a certificate authority"
    if issuer.unknown_critical:
        return f"an issuer has the critical extension {issuer.unknown_critical[0]}, which is not understood"
    if issuer.path_length is not None and len(path) - 1 > issuer.path_length:
        return f"an issuer allows {issuer.path_length} authorities below it, the path has {len(path) - 1}"
    return path[-1].unsigned_by(issuer)


def _unsigned(child: Certificate, issuer: Certificate) -> str:
    try:
        if not may_sign(issuer.key) or not isinstance(child.parsed.signature_hash_algorithm, HASHES):
            return "a signature of the path uses an algorithm that is not accepted"
        child.parsed.verify_directly_issued_by(issuer.parsed)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return "a certificate of the path is not signed by the key of its issuer"
    return ""
