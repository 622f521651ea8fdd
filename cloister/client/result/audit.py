"""Auditing a saved event log: what it proves, and what it does not."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.evidence import MAX_JSON, Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.verifier import RecordingPurpose, verify
from cloister.client.collateral.sources import CollateralSources
from cloister.client.evidence.verdict import check_table
from cloister.client.files.event_log import evidence_path
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Sentences, one_line
from cloister.client.result.approvals import approvals_in
from cloister.client.result.claims import Claim, ClaimOutcome, ClaimRecorder, claim_table
from cloister.errors import ChangedFileError, InputError
from cloister.protocol import text
from cloister.protocol.approval import Approval
from cloister.protocol.events import FIRST_PREVIOUS, MAX_EVENTS, MAX_LINE, MAX_LOG, Event, EventChain, EventKind, Record
from cloister.protocol.signingkey import key_id
from cloister.userfile import FilePath

_DIGITS = 6
"""Of a number of approvals."""

NOT_COVERED = (
    "Not checked, because no file can prove it: that the evidence was fresh when it was saved, that the log has no "
    "later events, and that the times are right (they are from the host's clock; the seconds are the machine's)."
)
"""What an audit cannot prove, for the reader."""


@dataclass(frozen=True, repr=False)
class Audit:
    """What an event log proves.

    ``events`` are those that could be read, in order. ``verdict`` is that on the
    evidence, None without policy or evidence.
    """

    log: Path
    claims: tuple[Claim, ...]
    events: tuple[Event, ...]
    verdict: Verdict | None

    @property
    def accepted(self) -> bool:
        """Whether every claim is proven."""
        return all(claim.outcome is ClaimOutcome.PROVEN for claim in self.claims)

    def require_accepted(self) -> None:
        """Raise ProofError unless every claim is proven."""
        if not self.accepted:
            raise ChangedFileError(f"{self.log} is not proven.", hint="See the claims above that are not proven.")

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "version": 1,
            "accepted": self.accepted,
            "events": len(self.events),
            "statements": [claim.value() for claim in self.claims],
            **({"verdict": self.verdict.value()} if self.verdict else {}),
        }

    def __str__(self) -> str:
        return "\n".join([*(claim.line() for claim in self.claims), NOT_COVERED])

    def __repr__(self) -> str:
        return one_line(f"Audit of {self.log}: {self._decision()}, {len(self.events)} events")

    def _repr_html_(self) -> str:
        title = f"{self.log}: {self._decision()}, {len(self.events)} events"
        checks = (check_table(self.verdict),) if self.verdict else ()
        return fragment(title, claim_table(self.claims), *checks, Sentences((NOT_COVERED,)), accepted=self.accepted)

    def _decision(self) -> str:
        return "proven" if self.accepted else "NOT PROVEN"


def audit_log(
    log: FilePath,
    *,
    evidence: FilePath | None = None,
    policy: Policy | None = None,
    collateral: CollateralSources | None = None,
) -> Audit:
    """Verify a saved event log offline.

    Args:
        log: a log as `events --save` writes it.
        evidence: evidence of the machine; None for the file beside the log, if there is one.
        policy: the party's policy; None skips the evidence's appraisal.
        collateral: for what the evidence does not carry; None for none.

    Returns:
        What is proven, what is not, and what could not be checked.

    Raises:
        InputError: a file cannot be read.
        MalformedEvidence: the evidence file has no evidence.
    """
    log = Path(log)
    evidence = Path(evidence) if evidence is not None else None
    beside = evidence or evidence_path(log)
    shown = _load_evidence(beside) if evidence is not None or beside.exists() else None
    return check_log(log, shown, policy, collateral=collateral)


def check_log(
    log: Path, evidence: Evidence | None, policy: Policy | None, *, collateral: CollateralSources | None = None
) -> Audit:
    """The same with evidence that was read already. Raises InputError when the log cannot be read."""
    recorder, auditor = ClaimRecorder(), _Auditor(_lines(log), evidence)
    recorder.check("Every event names the one before it", auditor.chain)
    signed, measured = (
        "Every event is signed by the agent's event-log key",
        "The manifest in the log is the measured one",
    )
    if evidence is None:
        recorder.skip(signed, "no evidence with that key: --evidence FILE")
        recorder.skip(measured, "no evidence: --evidence FILE")
    else:
        recorder.check(signed, auditor.signatures)
        recorder.check(measured, auditor.manifest)
    if auditor.demands_approvals:
        recorder.check("No result was released before every approval was given", auditor.approvals)
    judged = "The evidence passes your policy, as a recording"
    if evidence is None or policy is None:
        recorder.skip(judged, "no evidence" if evidence is None else "no policy: --policy FILE")
    else:
        recorder.check(judged, lambda: auditor.judge(policy, collateral or CollateralSources()))
    return Audit(log, recorder.claims(), tuple(record.event for record in auditor.records), auditor.verdict)


def logged_approvals(log: FilePath) -> tuple[Approval, ...]:
    """The approvals in a saved event log, for a result that was fetched before they were given.

    An approval is a party's signature over the result: it needs no proof of the log. Raises InputError, FormatError.
    """
    log = Path(log)
    return approvals_in(Record.parse(line) for line in _lines(log))


def _load_evidence(path: Path) -> Evidence:
    try:
        return Evidence.parse_json(userfile.read(path, MAX_JSON))
    except OSError as error:
        raise userfile.unreadable(path, error) from error


class _Auditor:
    """The checks over one log."""

    def __init__(self, lines: list[bytes], evidence: Evidence | None) -> None:
        self._lines = lines
        self._evidence = evidence
        self.records: list[Record] = []
        self.verdict: Verdict | None = None

    def chain(self) -> str:
        """Sequence and digests; they need no key."""
        previous = FIRST_PREVIOUS
        for number, line in enumerate(self._lines):
            if len(line) > MAX_LINE:
                raise ChangedFileError(f"Line {number + 1} is longer than an event.")
            record = Record.parse(line)
            event = record.event
            if event.sequence != number or event.previous != previous.hex():
                raise ChangedFileError(
                    f"Event {event.sequence} on line {number + 1} does not follow the one before it."
                )
            previous = event.digest()
            self.records.append(record)
        if not self.records:
            raise ChangedFileError("The log has no event.")
        return f"{len(self.records)} events, head {previous.hex()}"

    def signatures(self) -> str:
        """Every signature, under the key in the evidence."""
        key = self._named().event_log_key
        chain = EventChain(key)
        for record in self.records:
            chain.add(record)
        return f"key {key_id(key)}"

    def manifest(self) -> str:
        """The manifest that the log says was accepted is the one that the machine measured."""
        measured = self._named().binding.manifest_digest
        logged = [record.event.manifest for record in self.records if record.event.kind is EventKind.MANIFEST]
        if measured is None:
            if logged:
                raise ChangedFileError(
                    f"The log has the manifest {logged[0]}, the evidence has none: it was saved earlier."
                )
            return "none yet"
        if logged and logged != [measured.hex()]:
            raise ChangedFileError(f"The log has the manifest {logged[0]}, the evidence {measured.hex()}.")
        return measured.hex()

    @property
    def demands_approvals(self) -> bool:
        """Whether the log says that its manifest demands approvals."""
        return any("approvals" in event.detail for event in self._accepted())

    def approvals(self) -> str:
        """A release to a consumer comes after as many approvals, by different keys, as the manifest demands."""
        said = [event.detail.get("approvals", "") for event in self._accepted()]
        demanded = text.decimal(said[0], _DIGITS) if len(said) == 1 else None
        if demanded is None:
            raise ChangedFileError("The log does not say how many approvals its manifest demands.")
        given: set[str | None] = set()
        for record in self.records:
            if record.event.kind is EventKind.APPROVED:
                given.add(record.event.actor)
            if record.event.kind is EventKind.RESULT_CONSUMED and len(given) < demanded:
                raise ChangedFileError(
                    f"Event {record.event.sequence} releases a result after {len(given)} of {demanded} approvals."
                )
        return f"{len(given)} of {demanded} approvals"

    def _accepted(self) -> list[Event]:
        return [one.event for one in self.records if one.event.kind is EventKind.MANIFEST]

    def judge(self, policy: Policy, sources: CollateralSources) -> str:
        """The verdict as of now, on a recording: the session or receipt that the evidence was made for is not here."""
        evidence = self._named()
        collateral, _ = sources.for_evidence(evidence)
        now = datetime.datetime.now(datetime.UTC)
        self.verdict = verify(evidence, policy, purpose=RecordingPurpose(), at=now, collateral=collateral)
        self.verdict.require_genuine()
        kind = "confidential" if self.verdict.confidential else "not confidential"
        return f"{self.verdict.platform}, {kind}, as a recording"

    def _named(self) -> Evidence:
        if self._evidence is None:
            raise ChangedFileError("There is no evidence.")
        return self._evidence


def _lines(log: Path) -> list[bytes]:
    lines, size = [], 0
    try:
        with userfile.open_regular(log) as file:
            while line := file.readline(MAX_LINE + 2):
                lines.append(line.removesuffix(b"\n"))
                size += len(line)
                if len(lines) > MAX_EVENTS or size > MAX_LOG:
                    raise InputError(
                        f"{log} has more than {MAX_EVENTS} lines or {MAX_LOG} bytes: it is not an event log."
                    )
    except OSError as error:
        raise userfile.unreadable(log, error) from error
    return lines
