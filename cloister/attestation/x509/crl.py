"""Certificate revocation lists (RFC 5280, section 5): parsing, the current list of an issuer, and revocation.

Only signed lists count: :func:`current` returns a list that the issuer's key signed and that is valid at a given time,
:func:`revoked` uses every list that the key signed, expired ones too. A list with a critical extension that is not
understood (a delta, or a list for some reasons or certificates only) is never current.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.x509.certificate import HASHES, UNREADABLE, Certificate
from cloister.attestation.x509.der import INTEGER, SEQUENCE, DerReader
from cloister.attestation.x509.signers import Signers
from cloister.protocol import canonical

MAX_SIZE = 256 * 1024
"""Bytes of one list."""


@dataclass(frozen=True)
class RevocationList:
    """A parsed list. Its signature is not verified yet.

    issuer: the issuer's name (DER), as it was signed.
    this_update: when the list was made.
    next_update: when a newer list is due at the latest (all lists of Intel, AMD and Google have it).
    serials: the serial numbers of the revoked certificates.
    unknown_critical: dotted OIDs of critical extensions that are not understood; usually empty.
    parsed: the list as the library has it.
    """

    issuer: bytes
    this_update: datetime
    next_update: datetime
    serials: frozenset[int]
    unknown_critical: tuple[str, ...]
    parsed: x509.CertificateRevocationList
    _signers: Signers[bool] = field(default_factory=Signers, init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, der: bytes, field: str = "crl") -> Self:
        """From DER; ``field`` names it in errors. Raises MalformedEvidence."""
        if len(der) > MAX_SIZE:
            raise MalformedEvidence(field, 0, f"has {len(der)} bytes, at most {MAX_SIZE} are allowed")
        try:
            return cls._read(der)
        except UNREADABLE as error:
            raise MalformedEvidence(field, 0, "is not a certificate revocation list that can be read") from error

    @classmethod
    def _read(cls, der: bytes) -> Self:
        parsed = x509.load_der_x509_crl(der)
        if not der.endswith(b"\0" + parsed.signature):
            raise ValueError("a signature has whole bytes")
        if parsed.next_update_utc is None:
            raise ValueError("a list without nextUpdate would never expire")
        return cls(
            issuer=_issuer(der),
            this_update=parsed.last_update_utc,
            next_update=parsed.next_update_utc,
            serials=frozenset(entry.serial_number for entry in parsed),
            unknown_critical=tuple(e.oid.dotted_string for e in parsed.extensions if e.critical),
            parsed=parsed,
        )

    def signed_by(self, issuer: Certificate) -> bool:
        """Return whether ``issuer`` has the name in this list, may sign lists, and signed this one."""
        return self.issuer == issuer.subject and self._signers.ask(issuer.der, lambda: self._verify(issuer))

    def _verify(self, issuer: Certificate) -> bool:
        if not _may_sign_lists(issuer):
            return False
        key = issuer.key
        try:
            if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
                return False
            if not isinstance(self.parsed.signature_hash_algorithm, HASHES):
                return False
            return self.parsed.is_signature_valid(key)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False

    def current_at(self, at: datetime) -> bool:
        """Return whether ``at`` (with a time zone) is between this_update and next_update, both included."""
        return self.this_update <= at <= self.next_update

    @functools.cached_property
    def issuer_common_name(self) -> str:
        """The common name of the issuer; empty if there is not exactly one."""
        names = self.parsed.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if len(names) == 1 else ""

    def period(self) -> str:
        """The list's dates, for messages."""
        return self._period

    @functools.cached_property
    def _period(self) -> str:
        return f"of {canonical.to_time(self.this_update)}, next due {canonical.to_time(self.next_update)}"


def current(lists: Iterable[RevocationList], issuer: Certificate, at: datetime) -> tuple[RevocationList | None, str]:
    """The newest of ``lists`` that ``issuer`` signed and that is current at ``at``, or None and why not."""
    found: RevocationList | None = None
    reason = "there is no list of that issuer"
    for one in lists:
        if one.issuer != issuer.subject:
            continue
        if one.unknown_critical:
            reason = f"a list has the critical extension {one.unknown_critical[0]}, which is not understood"
        elif not one.signed_by(issuer):
            reason = "a list of that issuer is not signed by its key"
        elif not one.current_at(at):
            reason = f"a list {one.period()}"
        elif found is None or one.this_update > found.this_update:
            found = one
    return found, "" if found else reason


def revoked(lists: Iterable[RevocationList], issuer: Certificate, serial: int) -> bool:
    """Return whether any list that ``issuer`` signed, of any time, has the certificate: revocation is permanent."""
    return any(serial in one.serials and one.signed_by(issuer) for one in lists)


def _may_sign_lists(issuer: Certificate) -> bool:
    try:
        usage = issuer.parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.crl_sign


def _issuer(der: bytes) -> bytes:
    """The issuer's name in a list (RFC 5280, section 5.1). Raises MalformedEvidence."""
    body = DerReader(der, "crl").inside(SEQUENCE, "list").inside(SEQUENCE, "tbs")
    if body.next_is(INTEGER):
        body.element(INTEGER, "version")
    body.element(SEQUENCE, "signature")
    return body.whole(SEQUENCE, "issuer")
