"""Intel's collateral for one quote: TCB info, QE identity, certificates and revocation lists, and who signed them.

Of several endorsements for the platform that are signed and issued, the one from the newest evaluation counts, and the
newest of these. Intel publishes endorsements of several evaluations at a time, so a current one may know less than an
overdue one: a host that presents an older one cannot lower the requirement for a caller who has a newer one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, Self, TypeVar

from cloister.attestation.result.checkinfo import Failure
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tdx.certificates import PCK_ISSUERS, PCK_NAME, SIGNER_NAME, Pck
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.tcb_info import QeIdentity, SignedStatement, TcbInfo
from cloister.attestation.x509 import crl
from cloister.attestation.x509.certificate import Certificate, find_path
from cloister.attestation.x509.roots import Anchor
from cloister.protocol import canonical

_Statement = TypeVar("_Statement", bound=SignedStatement)


class IntelSource(Protocol):
    """Where parsed collateral comes from; any method may raise CollateralError."""

    def certificates(self) -> Sequence[Certificate]:
        """Certificates of any vendor."""
        ...

    def revocation_lists(self) -> Sequence[crl.RevocationList]:
        """Revocation lists of any vendor."""
        ...

    def tcb_infos(self) -> Sequence[TcbInfo]:
        """TCB infos."""
        ...

    def qe_identities(self) -> Sequence[QeIdentity]:
        """Identities of the quoting enclave."""
        ...


@dataclass(frozen=True)
class IntelCollateral:
    """Parsed collateral. Nothing of it is trusted yet. ``chain`` are the quote's own certificates, leaf first."""

    chain: tuple[Certificate, ...]
    certificates: tuple[Certificate, ...]
    lists: tuple[crl.RevocationList, ...]
    tcb_infos: tuple[TcbInfo, ...]
    identities: tuple[QeIdentity, ...]

    @classmethod
    def gather(cls, chain: Sequence[Certificate], source: IntelSource) -> Self:
        """Joins the certificates of a quote with the collateral of ``source``, each certificate once."""
        certificates: dict[bytes, Certificate] = {}
        for certificate in (*chain, *source.certificates()):
            certificates.setdefault(certificate.der, certificate)
        return cls(
            chain=tuple(chain),
            certificates=tuple(certificates.values()),
            lists=tuple(source.revocation_lists()),
            tcb_infos=tuple(source.tcb_infos()),
            identities=tuple(source.qe_identities()),
        )


@dataclass(frozen=True)
class CertificatePath:
    """A path of certificates to Intel's root, leaf first. Without a path it is empty and ``why`` has the reason."""

    certificates: tuple[Certificate, ...]
    why: str = ""


def pck_path(chain: Sequence[Certificate], anchor: Anchor) -> CertificatePath:
    """The path of a platform's key, only within the chain in the quote.

    Names are checked so that a key made for one purpose is not used for another.
    """
    path, why = find_path(chain[0], chain[1:], anchor.spki_sha256)
    if path is None:
        return CertificatePath((), why)
    names = [certificate.common_name for certificate in path[:-1]]
    if len(names) != 2 or names[0] != PCK_NAME or names[1] not in PCK_ISSUERS:
        return CertificatePath((), f"the path is {', '.join(names)}, which is not that of a platform's key")
    return CertificatePath(path)


def signer_path(statement: SignedStatement, collateral: IntelCollateral, anchor: Anchor) -> CertificatePath:
    """The path of the certificate whose key signed the statement. Intel's root issues that certificate itself."""
    why = f"no certificate {SIGNER_NAME!r} is present"
    for certificate in collateral.certificates:
        if certificate.common_name != SIGNER_NAME:
            continue
        if not statement.signed_by(certificate):
            why = "no available key of Intel's signed it"
            continue
        # Only the root itself: a search among many certificates of other vendors would exceed its limit.
        roots = [one for one in collateral.certificates if one.fingerprint() == anchor.spki_sha256]
        path, reason = find_path(certificate, roots, anchor.spki_sha256)
        if path is not None:
            return CertificatePath(path)
        why = reason
    return CertificatePath((), why)


def _lacks_issuers(collateral: IntelCollateral, anchor: Anchor) -> bool:
    """Whether a certificate that could have signed a statement, or the root, is absent."""
    signers = any(one.common_name == SIGNER_NAME for one in collateral.certificates)
    return not signers or not any(one.fingerprint() == anchor.spki_sha256 for one in collateral.certificates)


def check_statement(
    checks: Recorder,
    name: str,
    candidates: Sequence[_Statement],
    collateral: IntelCollateral,
    anchor: Anchor,
    at: datetime,
    unsigned: Failure,
) -> tuple[_Statement | None, CertificatePath]:
    """Records the checks ``name`` and ``name``-validity. Returns the signed statement, or None.

    ``unsigned`` is how ``name`` fails if there are statements and certificates, and none of them belong together.
    """
    if not candidates:
        checks.record(name, False, "signed by Intel, for this platform", "none")
        return None, CertificatePath(())
    found = [(one, signer_path(one, collateral, anchor)) for one in candidates]
    best, path = max(
        found,
        key=lambda pair: (
            bool(pair[1].certificates),
            pair[0].issue_date <= at,
            pair[0].evaluation_number,
            pair[0].current_at(at),
            pair[0].issue_date,
        ),
    )
    if not path.certificates:
        failure = None if _lacks_issuers(collateral, anchor) else unsigned
        checks.judge(name, False, "signed by Intel", path.why, failure)
        return None, path
    checks.record(name, True, "signed by Intel", f"signed, SHA-256 {hashlib.sha256(best.body).hexdigest()}")
    checks.use(best, path.certificates[0])
    late = next((one for one in path.certificates if not one.valid_at(at)), None)
    period = best.period() if late is None else f"signer's certificates {validity(late)}"
    current = late is None and best.current_at(at)
    checks.record(f"{name}-validity", current, f"current at {canonical.to_time(at)}", period)
    return best, path


def check_age(
    checks: Recorder,
    section: TdxPolicy,
    statements: Sequence[SignedStatement],
    revocations: crl.RevocationList | None,
    at: datetime,
) -> None:
    """The statements are new enough, by age and by the number of Intel's evaluation."""
    limit = section.max_collateral_age_days
    dates = [one.issue_date for one in statements]
    if revocations is not None:
        dates.append(revocations.this_update)
    if limit is None:
        checks.not_applicable("tdx-collateral-age", "the policy sets no limit")
    elif dates:
        oldest = min(dates)
        wanted = f"at most {limit} days before {canonical.to_time(at)}"
        checks.record("tdx-collateral-age", at - oldest <= timedelta(days=limit), wanted, canonical.to_time(oldest))
    else:
        checks.not_applicable("tdx-collateral-age", "there is no statement that is signed")
    least = section.min_tcb_evaluation_data_number
    numbers = [one.evaluation_number for one in statements]
    if least is None:
        checks.not_applicable("tdx-tcb-evaluation-number", "the policy sets no limit", evaluation_numbers(statements))
    elif numbers:
        found = evaluation_numbers(statements)
        checks.record("tdx-tcb-evaluation-number", min(numbers) >= least, f"at least {least}", found)
    else:
        checks.not_applicable("tdx-tcb-evaluation-number", "there is no statement that is signed")


def evaluation_numbers(statements: Sequence[SignedStatement]) -> str:
    """The number of Intel's evaluation, for messages. Where TCB info and QE identity differ, the lower one counts."""
    numbers = sorted({one.evaluation_number for one in statements})
    if len(numbers) < 2:
        return "".join(map(str, numbers))
    return f"{numbers[0]}, the lower one of TCB info and QE identity; the other has {numbers[1]}"


def tcb_infos_for(pck: Pck, collateral: IntelCollateral) -> list[TcbInfo]:
    """The TCB infos for this kind of platform."""
    return [one for one in collateral.tcb_infos if (one.fmspc, one.pce_id) == (pck.fmspc, pck.pce_id)]


def validity(certificate: Certificate) -> str:
    """A certificate's validity period, for messages."""
    since, until = canonical.to_time(certificate.not_before), canonical.to_time(certificate.not_after)
    return f"valid from {since} to {until}"
