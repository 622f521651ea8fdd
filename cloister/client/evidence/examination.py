"""Judging evidence that lies in files: a bundle of a machine's, or what hardware and clouds give out."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister.attestation.collateral_source import CERTIFICATE, Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.raw_evidence import Raw, RawHcl, RawVerdict, verify_raw
from cloister.attestation.result import Verdict
from cloister.attestation.roots import VENDORS, Anchor
from cloister.attestation.verifier import RecordingPurpose, verify
from cloister.client.collateral import folder, wanted
from cloister.client.collateral.network import VendorServices
from cloister.client.collateral.wanted import Services
from cloister.client.evidence import evidence_files
from cloister.errors import InputError

_REPORT_DATA = 64
_MAX_TPM_DATA = 66


@dataclass(frozen=True)
class Several:
    """Several sources as one, in their order."""

    sources: Sequence[Collateral]

    def items(self, kind: str) -> Iterable[bytes]:
        """Everything of ``kind`` that one of them has, each once."""
        return dict.fromkeys(content for source in self.sources for content in source.items(kind))


@dataclass(frozen=True)
class Examination:
    """The verdict, and a sentence for each question to a vendor that was not answered."""

    verdict: Verdict | RawVerdict
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed of what could be judged."""
        return self.verdict.accepted if isinstance(self.verdict, Verdict) else self.verdict.genuine


def examine(
    paths: Sequence[Path],
    policy: Policy,
    *,
    at: datetime.datetime,
    report_data: bytes | None = None,
    collateral: Path | None = None,
    network: VendorServices | None = None,
    services: Services | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
) -> Examination:
    """The evidence in ``paths`` under ``policy`` as of ``at``. Without ``network`` nothing is asked of anybody.

    ``report_data`` is what the caller had it made over, None for anything; ``collateral`` is a folder. Raises
    InputError for files that are no evidence, and PolicyError.
    """
    try:
        given, beside = evidence_files.load(paths)
        if report_data is not None:
            _require_size(given, report_data)
        sources: list[Collateral] = [beside]
        if collateral is not None:
            sources.append(folder.load(collateral))
        problems: tuple[str, ...] = ()
        if network is not None:
            fetched = network.fetch(wanted.questions(given, tuple(Several(sources).items(CERTIFICATE)), services))
            sources.append(fetched.collateral)
            problems = fetched.problems
        return Examination(_judged(given, policy, Several(sources), at, report_data, roots), problems)
    except MalformedEvidence as error:
        raise InputError(f"The evidence cannot be read: {error.place}.") from error


def _require_size(given: Evidence | Raw, report_data: bytes) -> None:
    """What no evidence of the kind could have been made over is a slip of the caller's, and no word on a machine."""
    # SEV-SNP's REPORT_DATA and TDX's REPORTDATA have one size; TPM2B_DATA (TPM 2.0 part 2) has at most a TPMT_HA's.
    least, most = (1, _MAX_TPM_DATA) if isinstance(given, RawHcl) else (_REPORT_DATA, _REPORT_DATA)
    if not least <= len(report_data) <= most:
        wanted = str(most) if least == most else f"{least} to {most}"
        raise InputError(f"The report data has {len(report_data)} bytes; evidence of this kind is made over {wanted}.")


def _judged(
    given: Evidence | Raw,
    policy: Policy,
    sources: Collateral,
    at: datetime.datetime,
    report_data: bytes | None,
    roots: tuple[Anchor, ...],
) -> Verdict | RawVerdict:
    if isinstance(given, Evidence):
        purpose = RecordingPurpose(report_data)
        return verify(given, policy, purpose=purpose, at=at, collateral=sources, roots=roots)
    return verify_raw(given, policy, report_data=report_data, at=at, collateral=sources, roots=roots)
