"""What a caller brought to have machines refused, and its vendor did not sign: it counts as absent, so it is named.

A revocation list, TCB info or identity that was changed after it was signed refuses nothing, and whoever holds it
believes that it does. It is no error: of several certificates with the issuer's name the wrong one may have come.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from cloister.attestation.collateral.usable import Sources
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.tdx import published
from cloister.attestation.tdx.collateral import QeIdentity, Signed, TcbInfo
from cloister.attestation.tdx.pck import SIGNER_NAME, common_name
from cloister.attestation.tdx.quote import Quote
from cloister.attestation.x509.crl import RevocationList
from cloister.attestation.x509.x509 import Certificate

_REASON = "no certificate of its issuer that came has signed it, so it counts as absent"


def name_unsigned(sources: Sources, *, quote: bytes | None = None, table: bytes | None = None) -> None:
    """Leaves word in ``sources`` of the caller's lists and statements that were looked at and that nobody signed.

    ``quote`` and ``table`` are the TDX quote and AMD's certificate table, which bring certificates of their own. A list
    whose issuer's certificate did not come is about machines of another vendor, and nothing is said of it.
    """
    unsigned = {kind: sources.brought(kind) for kind in _IS_SIGNED}
    if not any(unsigned.values()):
        return
    known = tuple(_readable((*sources.items(CERTIFICATE), *_chain(quote), *_listed(table))))
    for kind, contents in unsigned.items():
        for content in contents:
            if not _IS_SIGNED[kind](content, known):
                sources.leave_out(kind, content, _REASON)


def _is_list_signed(content: bytes, certificates: Sequence[Certificate]) -> bool:
    parsed = RevocationList.parse(content)
    issuers = [one for one in certificates if one.subject == parsed.issuer]
    return not issuers or any(parsed.signed_by(one) for one in issuers)


def _is_statement_signed(statement: Signed, certificates: Sequence[Certificate]) -> bool:
    signers = [one for one in certificates if common_name(one) == SIGNER_NAME]
    return any(published.signed(one, statement.signature, statement.body) for one in signers)


_IS_SIGNED: Mapping[str, Callable[[bytes, Sequence[Certificate]], bool]] = MappingProxyType(
    {
        CRL: _is_list_signed,
        TCB_INFO: lambda content, known: _is_statement_signed(TcbInfo.parse(content), known),
        QE_IDENTITY: lambda content, known: _is_statement_signed(QeIdentity.parse(content), known),
    }
)


def _readable(ders: Iterable[bytes]) -> Iterator[Certificate]:
    """Those of authorities: the certificates of AMD's chips are none, and this reader does not take them."""
    for der in dict.fromkeys(ders):
        try:
            yield Certificate.parse(der)
        except MalformedEvidence:
            continue


def _chain(quote: bytes | None) -> tuple[bytes, ...]:
    """Parts that a platform does not have may be anything, and have been refused."""
    try:
        return Quote.parse(quote).pck_chain if quote is not None else ()
    except MalformedEvidence:
        return ()


def _listed(table: bytes | None) -> tuple[bytes, ...]:
    try:
        return CertificateTable.parse(table).certificates if table is not None else ()
    except MalformedEvidence:
        return ()
