"""Appraising recorded evidence: a bundle of a machine, or a bare report or quote."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister.attestation.collateral_source import CERTIFICATE, Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.document import not_for_evidence, not_for_sessions
from cloister.attestation.policy.either import AnyPolicy
from cloister.attestation.policy.policy import Policy
from cloister.attestation.raw.kinds import Raw, RawHcl
from cloister.attestation.raw.log import RawLog
from cloister.attestation.raw.tpm import RawTpm
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.raw.verifier import verify_raw
from cloister.attestation.result.outcomes import Check, advice, failed_names, lacking
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.verifier import RecordingPurpose, verify
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.client.collateral.evidence_requests import requests_for
from cloister.client.collateral.sources import CollateralSources
from cloister.client.evidence.ear import sign_ear
from cloister.client.evidence.evidence_files.loading import load
from cloister.client.evidence.explanation import Explanation
from cloister.client.evidence.verdict import show_verdict
from cloister.client.files.keys import Key
from cloister.client.html.parts import one_line
from cloister.errors import InputError, ProofError
from cloister.userfile import FilePath

_REPORT_DATA = 64
_MAX_TPM_DATA = 66
_ELSEWHERE = "Or use `collateral fetch FILE... --collateral DIR` on a machine with internet. It gets:"


@dataclass(frozen=True, repr=False)
class Examination:
    """The verdict on recorded evidence.

    problems: a sentence for each request to a vendor's service that failed.
    missing: how to get what would settle a failed check from the vendors' services: what it is, and its address.
    """

    verdict: Verdict | RawVerdict
    problems: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return self.verdict.accepted if isinstance(self.verdict, Verdict) else self.verdict.passed

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about the checks that failed; a file or a member of the policy that settles one comes last."""
        return (*advice(self.verdict.failures), *self.missing)

    def require_passed(self) -> None:
        """Raise ProofError, with the checks that failed and what to do, unless all passed."""
        if not self.passed:
            raise ProofError(
                f"The evidence is not genuine, or your policy rejects it: {failed_names(self.verdict.failures)}.",
                hint="\n".join(self.advice),
            )

    def ear(self, key: Key) -> str:
        """The verdict as an EAT Attestation Result, signed with ``key``. Never affirming: it may be old."""
        return sign_ear(self.verdict, key)

    def __repr__(self) -> str:
        decision = "genuine" if self.passed else "REJECTED"
        if self.passed and isinstance(self.verdict, RawVerdict) and not self.verdict.genuine:
            decision = "signed by a key for which no one vouches"
        return one_line(f"Examination: {decision}, platform {self.verdict.platform}")

    def _repr_html_(self) -> str:
        return show_verdict(self.verdict, (*self.problems, *self.advice))


def require_evidence(paths: Sequence[FilePath]) -> None:
    """Raise InputError, which says what a file looks like, unless the files are one piece of evidence.

    Nothing is judged: what the files say may be false.
    """
    try:
        load([Path(path) for path in paths])
    except MalformedEvidence as error:
        raise InputError(f"The evidence is malformed: {error.place}.") from error


def verify_evidence(
    paths: Sequence[FilePath],
    policy: AnyPolicy,
    *,
    at: datetime.datetime | None = None,
    report_data: bytes | None = None,
    collateral: CollateralSources | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
    explanation: Explanation | None = None,
) -> Examination:
    """Appraise recorded evidence under a policy.

    Args:
        paths: one bundle, report or quote, and the files that belong to it.
        policy: for a bundle the party's policy, for a report or quote a policy for raw evidence.
        at: time of the appraisal, aware; None for now.
        report_data: the bytes that the evidence must be bound to; None for any.
        collateral: for what the files do not contain; None for none.
        roots: the vendors' roots to trust.
        explanation: what explains a measurement that differs; None for event logs alone.

    Returns:
        The verdict. It may be a rejection, and it never accepts a machine.

    Raises:
        InputError: a file is not evidence, or the report data has a length that such evidence cannot have.
        PolicyError: the policy is of the other kind.
    """
    try:
        given, with_it = load([Path(path) for path in paths])
        if report_data is not None:
            _require_size(given, report_data)
        known, problems = (collateral or CollateralSources()).for_files(given, with_it)
        moment = at or datetime.datetime.now(datetime.UTC)
        verdict = _judged(given, policy, known, moment, report_data, roots)
        missing = _missing(given, known, verdict.failures)
        if explanation is not None:
            verdict = explanation.of(verdict, given)
        return Examination(verdict, problems, missing)
    except MalformedEvidence as error:
        raise InputError(f"The evidence is malformed: {error.place}.") from error


def _missing(given: Evidence | Raw, held: Collateral, failures: Sequence[Check]) -> tuple[str, ...]:
    """What the vendors' services have for the failed checks, with the addresses, for a machine without internet."""
    kinds = lacking(failures)
    if not kinds:
        return ()
    wanted = [one for one in requests_for(given, tuple(held.items(CERTIFICATE))) if one.kind in kinds]
    addresses = [f"  {one.what}: {one.address}" for one in wanted]
    return (_ELSEWHERE, *addresses) if addresses else ()


def _require_size(given: Evidence | Raw, report_data: bytes) -> None:
    """A length that such evidence cannot have is a mistake of the caller, and says nothing about the machine."""
    # SEV-SNP's REPORT_DATA and TDX's REPORTDATA have one size; TPM2B_DATA (TPM 2.0 part 2) has at most a TPMT_HA's.
    if isinstance(given, RawLog) or (isinstance(given, RawHcl) and given.quote is None):
        raise InputError(
            "This evidence is over no report data of yours.", hint="Omit --report-data, or add the quote that is."
        )
    least, most = (1, _MAX_TPM_DATA) if isinstance(given, RawHcl | RawTpm) else (_REPORT_DATA, _REPORT_DATA)
    if not least <= len(report_data) <= most:
        expected = str(most) if least == most else f"{least} to {most}"
        size = f"{len(report_data)} byte{'' if len(report_data) == 1 else 's'}"
        raise InputError(
            f"The report data has {size}; this kind of evidence has {expected}.",
            hint="A tool that takes fewer bytes pads them, usually with zeros at the end: pass all of them.",
        )


def _judged(
    given: Evidence | Raw,
    policy: AnyPolicy,
    collateral: Collateral,
    at: datetime.datetime,
    report_data: bytes | None,
    roots: tuple[Anchor, ...],
) -> Verdict | RawVerdict:
    if isinstance(given, Evidence):
        if not isinstance(policy, Policy):
            raise not_for_sessions()
        purpose = RecordingPurpose(report_data)
        return verify(given, policy, purpose=purpose, at=at, collateral=collateral, roots=roots)
    if isinstance(policy, Policy):
        raise not_for_evidence()
    return verify_raw(given, policy, report_data=report_data, at=at, collateral=collateral, roots=roots)
