"""What Intel says of a platform now: the statements that the collateral holds, and who signed them.

Of several statements for the platform that are signed and issued the one from the newest evaluation counts, the newest
of these. Intel gives out statements of several evaluations at a time, so one that is current may know less than one
that is overdue: a host that brings an older one cannot lower the bar for a caller who holds a newer one.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO
from cloister.attestation.result import Recorder
from cloister.attestation.roots import Anchor
from cloister.attestation.tdx.collateral import QeIdentity, Signed, TcbInfo
from cloister.attestation.tdx.pck import PCK_ISSUERS, PCK_NAME, SIGNER_NAME, Pck, common_name
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.x509 import crl, x509
from cloister.protocol import canonical

_Statement = TypeVar("_Statement", bound=Signed)


@dataclass(frozen=True)
class Material:
    """The collateral, parsed. Nothing of it is trusted yet."""

    certificates: tuple[x509.Certificate, ...]
    lists: tuple[crl.RevocationList, ...]
    tcb_infos: tuple[TcbInfo, ...]
    identities: tuple[QeIdentity, ...]

    @classmethod
    def parse(cls, chain: Sequence[x509.Certificate], items: Callable[[str], Iterable[bytes]]) -> "Material":
        """From the certificates of a quote and the collateral by kind. Raises MalformedEvidence."""
        known = {certificate.der for certificate in chain}
        ders = [der for der in dict.fromkeys(items(CERTIFICATE)) if der not in known]
        return cls(
            certificates=(*chain, *_readable(ders)),
            lists=tuple(crl.RevocationList.parse(der) for der in dict.fromkeys(items(CRL))),
            tcb_infos=tuple(TcbInfo.parse(data) for data in dict.fromkeys(items(TCB_INFO))),
            identities=tuple(QeIdentity.parse(data) for data in dict.fromkeys(items(QE_IDENTITY))),
        )


def _readable(ders: Iterable[bytes]) -> Iterator[x509.Certificate]:
    """The certificates that can be read; AMD's, which may come from the same folder, have a serial number 0."""
    for der in ders:
        try:
            yield x509.Certificate.parse(der)
        except MalformedEvidence:  # it cannot be a part of a path, so it vouches for nothing
            continue


@dataclass(frozen=True)
class Path:
    """A path of certificates to Intel's root, leaf first; empty, with the reason, when there is none."""

    certificates: tuple[x509.Certificate, ...]
    why: str = ""


def pck_path(chain: Sequence[x509.Certificate], anchor: Anchor) -> Path:
    """The path of a platform's key, in the chain that came with the quote and nowhere else.

    The names keep the key of one purpose from being used for another.
    """
    path, why = x509.find_path(chain[0], chain[1:], anchor.spki_sha256)
    if path is None:
        return Path((), why)
    names = [common_name(certificate) for certificate in path[:-1]]
    if len(names) != 2 or names[0] != PCK_NAME or names[1] not in PCK_ISSUERS:
        return Path((), f"the path is {', '.join(names)}, which is not that of a platform's key")
    return Path(path)


def signer_path(statement: Signed, material: Material, anchor: Anchor) -> Path:
    """The path of the certificate whose key signed the statement; Intel's root issues it itself."""
    why = f"no certificate {SIGNER_NAME!r} came"
    for certificate in material.certificates:
        if common_name(certificate) != SIGNER_NAME:
            continue
        if not signed(certificate, statement.signature, statement.body):
            why = "it is not signed by a key of Intel's that came"
            continue
        # Nothing but the root itself: among many certificates of other vendors it would not be found.
        roots = [one for one in material.certificates if one.fingerprint() == anchor.spki_sha256]
        path, reason = x509.find_path(certificate, roots, anchor.spki_sha256)
        if path is not None:
            return Path(path)
        why = reason
    return Path((), why)


def signed(certificate: x509.Certificate, signature: bytes, data: bytes) -> bool:
    """Whether the certificate's key (ECDSA P-256) made ``signature`` (r and s) over ``data``."""
    key = certificate.parsed.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and signed_by_key(key, signature, data)


def signed_by_key(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Whether the P-256 ``key`` made ``signature`` (r and s, 64 bytes) over ``data``, with SHA-256."""
    if not isinstance(key.curve, ec.SECP256R1):
        return False
    try:
        encoded = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        key.verify(encoded, data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def check_statement(
    checks: Recorder, name: str, candidates: Sequence[_Statement], material: Material, anchor: Anchor, at: datetime
) -> tuple[_Statement | None, Path]:
    """Records the checks ``name`` and ``name``-validity. Returns the statement that is signed, if there is one."""
    if not candidates:
        checks.record(name, False, "signed by Intel, for this platform", "none came")
        return None, Path(())
    found = [(one, signer_path(one, material, anchor)) for one in candidates]
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
    digest = hashlib.sha256(best.body).hexdigest()
    if not checks.record(name, bool(path.certificates), "signed by Intel", path.why or f"signed, SHA-256 {digest}"):
        return None, path
    late = next((one for one in path.certificates if not one.valid_at(at)), None)
    period = best.period() if late is None else f"signer's certificates {validity(late)}"
    current = late is None and best.current_at(at)
    checks.record(f"{name}-validity", current, f"current at {canonical.to_time(at)}", period)
    return best, path


def check_age(
    checks: Recorder,
    section: TdxPolicy,
    statements: Sequence[Signed],
    revocations: crl.RevocationList | None,
    at: datetime,
) -> None:
    """How old the statements are, and from which of Intel's evaluations."""
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
        checks.not_applicable("tdx-tcb-evaluation-number", "the policy sets no limit", ", ".join(map(str, numbers)))
    elif numbers:
        checks.record("tdx-tcb-evaluation-number", min(numbers) >= least, f"at least {least}", str(min(numbers)))
    else:
        checks.not_applicable("tdx-tcb-evaluation-number", "there is no statement that is signed")


def candidates(pck: Pck, material: Material) -> list[TcbInfo]:
    """The TCB infos that are for this kind of platform."""
    return [one for one in material.tcb_infos if (one.fmspc, one.pce_id) == (pck.fmspc, pck.pce_id)]


def validity(certificate: x509.Certificate) -> str:
    """A certificate's validity, for people."""
    since, until = canonical.to_time(certificate.not_before), canonical.to_time(certificate.not_after)
    return f"valid from {since} to {until}"
