"""The certificates that come with a report: the table in which a host hands them out, and VCEK and VLEK themselves.

Sources: "SEV-ES Guest-Hypervisor Communication Block Standardization", AMD publication 56421, revision 2.03 (GHCB),
section 4.1.8.1; "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification", publication 57230,
revision 1.00 (KDS), section 3.1, tables 8 and 9; "Versioned Loaded Endorsement Key (VLEK)", 58369, table 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cloister.attestation import der, x509
from cloister.attestation.der import DerReader
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import SigningKey

VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd")
VLEK = UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1")
ASK = UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782")
ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")
CRL = UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea")

_MAX_TABLE = 64 * 1024
_MAX_ENTRIES = 16
_ENTRY_SIZE = 24
_END = UUID(int=0)

# RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes (RFC 4055): AMD's services write the trailer field
# that is the default at times and leave it out at others. No other algorithm signs a VCEK or VLEK.
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

_AMD = "1.3.6.1.4.1.3704.1."
_STRUCT_VERSION = f"{_AMD}1"
_PRODUCT_NAME = f"{_AMD}2"
_HWID = f"{_AMD}4"
_CSP_ID = f"{_AMD}5"
# KDS, table 9: by STRUCT_VERSION, the extension of each component and the ones that are reserved.
_LEVELS: Mapping[int, Mapping[str, str]] = {
    0: {"boot_loader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8"},
    1: {"fmc": "3.9", "boot_loader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8"},
}
_RESERVED_LEVELS: Mapping[int, tuple[str, ...]] = {0: ("3.4", "3.5", "3.6", "3.7"), 1: ("3.5", "3.6", "3.7")}
_STRUCT_VERSIONS = {ProductLine.MILAN: 0, ProductLine.GENOA: 0, ProductLine.TURIN: 1}
_HWID_SIZES = {0: 64, 1: 8}
_SUBJECT_KEYS = {"SEV-VCEK": SigningKey.VCEK, "SEV-VLEK": SigningKey.VLEK}
_COMMON_NAME = "2.5.4.3"
_KNOWN_OTHERS = ("2.5.29.14", "2.5.29.35", "2.5.29.31")  # key identifiers and where CRLs are: nothing to judge


@dataclass(frozen=True)
class CertificateTable:
    """What stands in the table, by the identifier of each entry."""

    entries: Mapping[UUID, bytes]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the pages of an extended guest request, padding included. Raises MalformedEvidence."""
        if len(data) > _MAX_TABLE:
            raise MalformedEvidence("cert_table", 0, f"has {len(data)} bytes, at most {_MAX_TABLE} are allowed")
        reader = Reader(data, "cert_table", "little")
        places: list[tuple[UUID, int, int]] = []
        while True:
            guid = UUID(bytes=reader.take(16, "guid"))
            offset, size = reader.unsigned(4, "offset"), reader.unsigned(4, "length")
            if guid == _END:
                break
            if len(places) == _MAX_ENTRIES:
                raise reader.malformed("entries", f"are more than {_MAX_ENTRIES}")
            if any(guid == other for other, _, _ in places):
                raise reader.malformed("guid", f"is {guid} twice")
            places.append((guid, offset, size))
        entries = {}
        for guid, offset, size in places:
            if offset < reader.offset or size > len(data) or offset > len(data) - size:
                raise reader.malformed("offset", f"{offset} and length {size} of {guid} lie outside of the data")
            entries[guid] = data[offset : offset + size]
        return cls(entries)

    def encode(self) -> bytes:
        """The table without padding."""
        header, body = b"", b""
        start = (len(self.entries) + 1) * _ENTRY_SIZE
        for guid, content in self.entries.items():
            header += guid.bytes + (start + len(body)).to_bytes(4, "little") + len(content).to_bytes(4, "little")
            body += content
        return header + bytes(_ENTRY_SIZE) + body

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates of the chain, DER, those of the signing key first."""
        return tuple(self.entries[guid] for guid in (VCEK, VLEK, ASK, ARK) if self.entries.get(guid))

    @property
    def crls(self) -> tuple[bytes, ...]:
        """The revocation list, DER, if the host put one there."""
        return tuple(self.entries[guid] for guid in (CRL,) if self.entries.get(guid))


@dataclass(frozen=True)
class EndorsementCertificate:
    """A VCEK or VLEK certificate, read without a library's parser of X.509: its serial number is 0.

    ``hwid`` is the chip's identifier (VCEK), ``csp_id`` names the cloud that the key was made for (VLEK). Whether it
    counts is for ``chain.py`` to say.
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
    struct_version: int
    product_name: str
    tcb: TcbVersion
    hwid: bytes | None
    csp_id: str | None
    tbs: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes, field: str = "endorsement certificate") -> Self:
        """From DER; ``field`` names it in errors. Raises MalformedEvidence."""
        if len(data) > x509.MAX_SIZE:
            raise MalformedEvidence(field, 0, f"has {len(data)} bytes, at most {x509.MAX_SIZE} are allowed")
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
            raise body.malformed("signature", "is not RSASSA-PSS with SHA-384, in both places alike")
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
            **_amd_extensions(extensions, _SUBJECT_KEYS[subject], field),
        )

    @property
    def product_line(self) -> ProductLine | None:
        """The line in the product name, which for a VCEK may go on with the stepping: Milan-B0."""
        name = self.product_name.split("-", 1)[0]
        line = next((line for line in ProductLine if line == name), None)
        return line if line is None or _STRUCT_VERSIONS[line] == self.struct_version else None

    def valid_at(self, at: datetime) -> bool:
        """Whether ``at`` (aware) lies in the validity period, both ends included."""
        return self.not_before <= at <= self.not_after

    def signed_by(self, issuer: x509.Certificate) -> bool:
        """Whether the key of ``issuer`` made the signature."""
        key = issuer.parsed.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        try:
            pss = padding.PSS(padding.MGF1(hashes.SHA384()), _SALT)
            key.verify(self.signature, self.tbs, pss, hashes.SHA384())
        except (InvalidSignature, ValueError):
            return False
        return True


def is_endorsement(data: bytes) -> bool:
    """Whether ``data`` is a certificate whose subject ends with the name of a VCEK or VLEK; it may be malformed yet.

    Raises MalformedEvidence when it is no certificate at all.
    """
    body = DerReader(data, "certificate").inside(der.SEQUENCE, "certificate").inside(der.SEQUENCE, "tbs")
    if body.next_is(0xA0):
        body.element(0xA0, "version")
    body.element(der.INTEGER, "serial")
    for field in ("signature", "issuer", "validity"):
        body.element(der.SEQUENCE, field)
    subject = body.whole(der.SEQUENCE, "subject")
    return any(subject.endswith(bytes((len(name),)) + name.encode()) for name in _SUBJECT_KEYS)


def _common_name(name: bytes, field: str) -> str:
    """The one common name of an RDNSequence, which is text in UTF-8 or printable characters."""
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
        raise names.malformed("common_name", f"is there {len(found)} times, must be there once")
    return found[0]


def _extensions(reader: DerReader) -> dict[str, bytes]:
    """Contents by OID. Raises MalformedEvidence for one that comes twice or is critical: none of AMD's is."""
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


def _amd_extensions(found: dict[str, bytes], kind: SigningKey, field: str) -> dict[str, object]:
    """The members that stand in AMD's own extensions: all that must be there, and nothing besides."""
    known = {oid for oid in found if oid in _KNOWN_OTHERS}

    def content(oid: str) -> DerReader:
        if oid not in found:
            raise MalformedEvidence(f"{field}.{oid}", 0, "is absent")
        known.add(oid)
        return DerReader(found[oid], f"{field}.{oid}")

    def number(oid: str) -> int:
        reader = content(oid)
        value = reader.unsigned("value")
        reader.end()
        if value > 0xFF:
            raise reader.malformed("value", f"is {value}, at most 255 is allowed")
        return value

    def text(oid: str) -> str:
        reader = content(oid)
        value = reader.text(der.IA5_STRING, "value")
        reader.end()
        return value

    version = number(_STRUCT_VERSION)
    if version not in _LEVELS:
        raise MalformedEvidence(f"{field}.{_STRUCT_VERSION}", 0, f"is {version}, only 0 and 1 are known")
    tcb = TcbVersion(**{name: number(_AMD + oid) for name, oid in _LEVELS[version].items()})
    for oid in _RESERVED_LEVELS[version]:
        if number(_AMD + oid):
            raise MalformedEvidence(f"{field}.{_AMD}{oid}", 0, "is not zero, although it is reserved")
    members: dict[str, object] = {"struct_version": version, "product_name": text(_PRODUCT_NAME), "tcb": tcb}
    members |= {"hwid": None, "csp_id": None}
    if kind is SigningKey.VCEK:
        size = _HWID_SIZES[version]
        content(_HWID)
        if len(found[_HWID]) != size:  # the bytes themselves, without a tag of their own
            raise MalformedEvidence(f"{field}.{_HWID}", 0, f"has {len(found[_HWID])} bytes, must have {size}")
        members["hwid"] = found[_HWID]
    else:
        members["csp_id"] = text(_CSP_ID)
    unknown = sorted(set(found) - known)
    if unknown:
        raise MalformedEvidence(f"{field}.extensions", 0, f"have {unknown[0]}, which is unknown")
    return members


def _key(spki: bytes, field: str) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedEvidence(f"{field}.spki", 0, "is no public key that can be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise MalformedEvidence(f"{field}.spki", 0, "is not a key on the curve P-384")
    return key
