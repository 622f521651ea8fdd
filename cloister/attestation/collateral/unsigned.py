"""Revocation lists and endorsements that the caller brought and their vendor did not sign.

A revocation list, TCB info or QE identity that was changed after it was signed counts as absent: it rejects nothing,
although the caller believes that it does. The verdict therefore lists it. It is not an error, because
the certificate at hand may be another one with the issuer's name.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import CRL, QE_IDENTITY, TCB_INFO
from cloister.attestation.tdx.certificates import SIGNER_NAME
from cloister.attestation.tdx.tcb_info import SignedStatement
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList

_REASON = "no available certificate of its issuer signed it, so it counts as absent"


def skip_unsigned(collateral: UsableCollateral) -> None:
    """Lists in ``collateral.skipped`` the caller's lists and endorsements that were used and that no issuer signed.

    A revocation list whose issuer's certificate did not come is about another vendor's machines and is not listed.
    """
    brought = {kind: collateral.brought(kind) for kind in _IS_SIGNED}
    if not any(brought.values()):
        return
    issuers = collateral.issuers()
    for kind, items in brought.items():
        for item in items:
            if not _IS_SIGNED[kind](item.value, issuers):
                collateral.skip(kind, item, _REASON)


def _is_list_signed(parsed: RevocationList, certificates: Sequence[Certificate]) -> bool:
    issuers = [one for one in certificates if one.subject == parsed.issuer]
    return not issuers or any(parsed.signed_by(one) for one in issuers)


def _is_statement_signed(statement: SignedStatement, certificates: Sequence[Certificate]) -> bool:
    signers = [one for one in certificates if one.common_name == SIGNER_NAME]
    return any(statement.signed_by(one) for one in signers)


_IS_SIGNED: Mapping[str, Callable[[Any, Sequence[Certificate]], bool]] = MappingProxyType(
    {CRL: _is_list_signed, TCB_INFO: _is_statement_signed, QE_IDENTITY: _is_statement_signed}
)
