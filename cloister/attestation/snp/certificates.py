"""The certificates of the keys that sign reports, VCEK and VLEK, parsed without a library.

Their serial number is 0, which RFC 5280 forbids: `cryptography` warns that it will reject it in future. Source:
"Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification", AMD publication 57230, chapter 3.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.extensions import AmdExtensions
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.x509 import der
from cloister.attestation.x509.certificate import MAX_CERTIFICATE_SIZE, Certificate, may_sign
from cloister.attestation.x509.der import DerReader
from cloister.attestation.x509.signers import Signers

# RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes (RFC 4055). AMD's services sometimes write the
# default trailer field and sometimes omit it. No other algorithm signs a VCEK or VLEK.
_PSS_SHA384 = tuple(
    bytes.fromhex(text)
    for text in (
        "06092a864886f70d01010a3034a00f300d06096086480165030402020500"
        "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130",
        "06092a864886f70d01010a3039a00f300d06096086480165030402020500"
        "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130a303020101",
    )
)
_SALT = 48

_SUBJECT_KEYS = {"SEV-VCEK": SigningKey.VCEK, "SEV-VLEK": SigningKey.VLEK}
_COMMON_NAME = "2.5.4.3"


@dataclass(frozen=True)
class EndorsementCertificate:
    """A parsed VCEK or VLEK certificate. Its signature is not verified yet (``chain.py``).

    der: the whole certificate.
    kind: VCEK or VLEK, by the subject.
    serial: the serial number, 0 in all of AMD's.
    issuer: the issuer's name (DER); ``issuer_name`` is its common name.
    not_before, not_after: the validity period, both ends included.
    spki: SubjectPublicKeyInfo (DER); ``key`` is the same, parsed.
    amd: what AMD's extensions say.
    tbs: the signed bytes; ``signature`` is over them.
    """

    der: bytes
    kind: SigningKey
    serial: int
    issuer: bytes
    issuer_name: str
    not_before: datetime
    not_after: datetime
    spki: bytes
    key: ec.EllipticCurvePublicKey
    amd: AmdExtensions
    tbs: bytes
    signature: bytes
    _signers: Signers[bool] = field(default_factory=Signers, init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, data: bytes, field: str = "endorsement certificate") -> Self:
        """From DER; ``field`` names it in errors. Raises MalformedEvidence."""
        if len(data) > MAX_CERTIFICATE_SIZE:
            raise MalformedEvidence(field, 0, f"has {len(data)} bytes, at most {MAX_CERTIFICATE_SIZE} are allowed")
        outside = DerReader(data, field)
        certificate = outside.inside(der.SEQUENCE, "certificate")
        outside.end()
        tbs = certificate.whole(der.SEQUENCE, "tbs")
        algorithm = certificate.element(der.SEQUENCE, "algorithm")
        signature = certificate.bits("signature")
        certificate.end()

        # RFC 5280, section 4.1: TBSCertificate.
        body = DerReader(tbs, field).inside(der.SEQUENCE, "tbs")
        version = body.inside(0xA0, "version")
        if version.unsigned("version") != 2:
            raise version.malformed("version", "must be 2, which is X.509 version 3")
        version.end()
        serial = body.unsigned("serial")
        if body.element(der.SEQUENCE, "signature") != algorithm or algorithm not in _PSS_SHA384:
            raise body.malformed("signature", "is not RSASSA-PSS with SHA-384, the same in both places")
        issuer = body.whole(der.SEQUENCE, "issuer")
        validity = body.inside(der.SEQUENCE, "validity")
        not_before, not_after = validity.time("not_before"), validity.time("not_after")
        validity.end()
        subject = _common_name(body.whole(der.SEQUENCE, "subject"), f"{field}.subject")
        if subject not in _SUBJECT_KEYS:
            raise body.malformed("subject", f"is {subject[:40]!r}, must be SEV-VCEK or SEV-VLEK")
        spki = body.whole(der.SEQUENCE, "spki")
        wrapped = body.inside(0xA3, "extensions")
        extensions = _extensions(wrapped.inside(der.SEQUENCE, "list"))
        wrapped.end()
        body.end()
        return cls(
            der=data,
            kind=_SUBJECT_KEYS[subject],
            serial=serial,
            issuer=issuer,
            issuer_name=_common_name(issuer, f"{field}.issuer"),
            not_before=not_before,
            not_after=not_after,
            spki=spki,
            key=_key(spki, field),
            tbs=tbs,
            signature=signature,
            amd=AmdExtensions.parse(extensions, _SUBJECT_KEYS[subject], field),
        )

    def valid_at(self, at: datetime) -> bool:
        """Return whether ``at`` (aware) is in the validity period, both ends included."""
        return self.not_before <= at <= self.not_after

    def signed_by(self, issuer: Certificate) -> bool:
        """Return whether the key of ``issuer`` made the signature."""
        return self._signers.ask(issuer.spki, lambda: self._verify(issuer))

    def _verify(self, issuer: Certificate) -> bool:
        key = issuer.key
        if not isinstance(key, rsa.RSAPublicKey) or not may_sign(key):
            return False
        try:
            pss = padding.PSS(padding.MGF1(hashes.SHA384()), _SALT)
            key.verify(self.signature, self.tbs, pss, hashes.SHA384())
        except (InvalidSignature, ValueError):
            return False
        return True


def is_endorsement(data: bytes) -> bool:
    """Return whether ``data`` looks like a certificate whose subject ends with the name of a VCEK or VLEK.

    It may still be malformed. Raises MalformedEvidence if it contains such a name and is not a certificate at all.
    """
    if not any(name.encode() in data for name in _SUBJECT_KEYS):
        return False
    body = DerReader(data, "certificate").inside(der.SEQUENCE, "certificate").inside(der.SEQUENCE, "tbs")
    if body.next_is(0xA0):
        body.element(0xA0, "version")
    body.element(der.INTEGER, "serial")
    for name in ("signature", "issuer", "validity"):
        body.element(der.SEQUENCE, name)
    subject = body.whole(der.SEQUENCE, "subject")
    return any(subject.endswith(bytes((len(name),)) + name.encode()) for name in _SUBJECT_KEYS)


def _common_name(name: bytes, field: str) -> str:
    """The only common name of an RDNSequence, a UTF8String or PrintableString."""
    found = []
    names = DerReader(name, field).inside(der.SEQUENCE, "name")
    while names.remaining:
        attributes = names.inside(der.SET, "rdn")
        while attributes.remaining:
            attribute = attributes.inside(der.SEQUENCE, "attribute")
            kind = attribute.oid("type")
            tag = der.UTF8_STRING if attribute.next_is(der.UTF8_STRING) else der.PRINTABLE_STRING
            text = attribute.text(tag, "value")
            attribute.end()
            if kind == _COMMON_NAME:
                found.append(text)
    if len(found) != 1:
        raise names.malformed("common_name", f"occurs {len(found)} times, must occur once")
    return found[0]


def _extensions(reader: DerReader) -> dict[str, bytes]:
    """Contents by OID. Raises MalformedEvidence for a duplicate or critical extension: AMD has neither."""
    found: dict[str, bytes] = {}
    while reader.remaining:
        extension = reader.inside(der.SEQUENCE, "extension")
        oid = extension.oid("oid")
        if extension.next_is(der.BOOLEAN):
            raise extension.malformed("critical", f"is written for {oid}, which is not understood")
        content = extension.element(der.OCTET_STRING, "value")
        extension.end()
        if oid in found:
            raise extension.malformed("oid", f"is {oid} twice")
        found[oid] = content
    return found


def _key(spki: bytes, field: str) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedEvidence(f"{field}.spki", 0, "is not a public key that can be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise MalformedEvidence(f"{field}.spki", 0, "is not a key on the curve P-384")
    return key
