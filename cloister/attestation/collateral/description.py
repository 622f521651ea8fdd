"""What a piece of collateral is, in words, and until when it may be used."""

from datetime import datetime

from cryptography.hazmat.primitives import serialization

from cloister.attestation.collateral_source import (
    CERTIFICATE,
    CRL,
    LAUNCH_ENDORSEMENT,
    QE_IDENTITY,
    STATEMENT,
    TCB_INFO,
)
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.statements.statement import ImageStatement
from cloister.attestation.tdx.tcb_info import QeIdentity, TcbInfo
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList

Parsed = (
    Certificate | EndorsementCertificate | RevocationList | TcbInfo | QeIdentity | LaunchEndorsement | ImageStatement
)
"""A parsed piece of collateral of any kind."""


def kind_of(value: Parsed) -> str:
    """The kind of a parsed piece (``collateral_source.BROUGHT_KINDS``)."""
    return _KINDS[type(value)]


def describe(value: Parsed) -> tuple[str, datetime | None]:
    """A name for people, and the expiry time (aware); None if it does not expire."""
    match value:
        case Certificate():
            return f"certificate of {value.common_name or 'an unnamed subject'}", value.not_after
        case RevocationList():
            return f"revocation list of {value.issuer_common_name or 'an unnamed issuer'}", value.next_update
        case TcbInfo():
            return f"TCB info of the platforms {value.fmspc.hex()}", value.next_update
        case QeIdentity():
            return "identity of the quoting enclave", value.next_update
        case EndorsementCertificate():
            return f"{value.kind.name} of {value.amd.product_name}", value.not_after
        case LaunchEndorsement():
            return f"launch endorsement of Google's firmware {value.build}", value.certificate.not_after
        case ImageStatement():
            return value.name(), value.until


def encoded(value: Parsed) -> bytes:
    """The bytes of a piece that came inside another structure. Of what Google or a builder signed: the signed part."""
    if isinstance(value, ImageStatement):
        return value.envelope.payload
    if isinstance(value, (Certificate, EndorsementCertificate)):
        return value.der
    if isinstance(value, RevocationList):
        return value.parsed.public_bytes(serialization.Encoding.DER)
    return value.golden if isinstance(value, LaunchEndorsement) else value.body


_KINDS: dict[type[Parsed], str] = {
    Certificate: CERTIFICATE,
    EndorsementCertificate: CERTIFICATE,
    RevocationList: CRL,
    TcbInfo: TCB_INFO,
    QeIdentity: QE_IDENTITY,
    LaunchEndorsement: LAUNCH_ENDORSEMENT,
    ImageStatement: STATEMENT,
}
