"""What a saved event log proves, and what it does not."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.binding import SessionBinding
from cloister.attestation.evidence import MAX_JSON, Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Verdict
from cloister.attestation.verifier import ReceiptPurpose, SessionPurpose, verify
from cloister.client.evidence.vendors import Vendors
from cloister.client.result.claims import Account, Outcome, Statement
from cloister.errors import InputError, ProofError
from cloister.protocol.events import FIRST_PREVIOUS, MAX_EVENTS, MAX_LINE, Event, EventChain, EventKind, Record
from cloister.protocol.transcript import key_id


@dataclass(frozen=True)
class Audit:
    """What was found out about a log; ``events`` are those that could be read, in order."""

    statements: tuple[Statement, ...]
    events: tuple[Event, ...]
    verdict: Verdict | None

    @property
    def accepted(self) -> bool:
        """Whether nothing failed and nothing was left unchecked that the log's truth rests on."""
        return all(statement.outcome is Outcome.PROVEN for statement in self.statements)

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "version": 1,
            "accepted": self.accepted,
            "events": len(self.events),
            "statements": [statement.value() for statement in self.statements],
            **({"verdict": self.verdict.value()} if self.verdict else {}),
        }


BEYOND = (
    "Not checked, because no file can show it: that the evidence was fresh when it was saved, that the log has no "
    "later events, and that the times are right (they are the host's word; the seconds are the machine's)."
)


def evidence_path(log: Path) -> Path:
    """Where `events --save` puts the evidence that belongs to a log."""
    return log.with_name(log.name + ".evidence.json")


def load_evidence(path: Path) -> Evidence:
    """Saved evidence. Raises InputError or MalformedEvidence."""
    try:
        return Evidence.parse_json(userfile.read(path, MAX_JSON))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def audit(log: Path, evidence: Evidence | None, policy: Policy | None, *, vendors: Vendors | None = None) -> Audit:
    """Check a saved log: chain, signatures, key, evidence. What cannot be checked is said, not assumed.

    ``vendors`` state what the evidence itself does not carry. Raises InputError when the log cannot be read.
    """
    account, auditor = Account(), _Auditor(_lines(log), evidence)
    account.check("Every event names the one before it", auditor.chain)
    if evidence is None:
        account.skip(
            "Every event is signed by the agent's event-log key", "no evidence names that key: --evidence FILE"
        )
        account.skip("The manifest in the log is the measured one", "no evidence: --evidence FILE")
    else:
        account.check("Every event is signed by the agent's event-log key", auditor.signatures)
        account.check("The manifest in the log is the measured one", auditor.manifest)
    if evidence is None or policy is None:
        account.skip(
            "The evidence is accepted by your policy", "no evidence" if evidence is None else "no policy: --policy FILE"
        )
    else:
        account.check("The evidence is accepted by your policy", lambda: auditor.judge(policy, vendors or Vendors()))
    return Audit(account.statements(), tuple(record.event for record in auditor.records), auditor.verdict)


class _Auditor:
    """The checks over one log."""

    def __init__(self, lines: list[bytes], evidence: Evidence | None) -> None:
        self._lines = lines
        self._evidence = evidence
        self.records: list[Record] = []
        self.verdict: Verdict | None = None

    def chain(self) -> str:
        """Sequence and digests, which need no key."""
        previous = FIRST_PREVIOUS
        for number, line in enumerate(self._lines):
            if len(line) > MAX_LINE:
                raise ProofError(f"Line {number + 1} is longer than an event can be.")
            record = Record.parse(line)
            event = record.event
            if event.sequence != number or event.previous != previous.hex():
                raise ProofError(f"Event {event.sequence} on line {number + 1} does not follow the one before it.")
            previous = event.digest()
            self.records.append(record)
        if not self.records:
            raise ProofError("The log has no event.")
        return f"{len(self.records)} events, head {previous.hex()}"

    def signatures(self) -> str:
        """Each event under the key that the evidence names."""
        key = self._named().event_log_key
        chain = EventChain(key)
        for record in self.records:
            chain.add(record)
        return f"key {key_id(key)}"

    def manifest(self) -> str:
        """What the log says was accepted is what the machine measured."""
        measured = self._named().binding.manifest_digest
        logged = [record.event.manifest for record in self.records if record.event.kind is EventKind.MANIFEST]
        if measured is None:
            if logged:
                raise ProofError(f"The log names the manifest {logged[0]}, the evidence none: it was saved before.")
            return "none yet"
        if logged and logged != [measured.hex()]:
            raise ProofError(f"The log names the manifest {logged[0]}, the evidence {measured.hex()}.")
        return measured.hex()

    def judge(self, policy: Policy, vendors: Vendors) -> str:
        """The evidence as of now, for whatever it was made: its own binding stands in for a session nobody can see."""
        evidence = self._named()
        binding = evidence.binding
        if isinstance(binding, SessionBinding):
            purpose: SessionPurpose | ReceiptPurpose = SessionPurpose(
                binding.nonce, binding.tls_key_digest, binding.hpke_key_digest
            )
        else:
            purpose = ReceiptPurpose(binding.payload_digest, binding.log_head)
        collateral, _ = vendors.about(evidence)
        now = datetime.datetime.now(datetime.UTC)
        self.verdict = verify(evidence, policy, purpose=purpose, at=now, collateral=collateral)
        self.verdict.require_accepted()
        return f"{self.verdict.platform}, {'confidential' if self.verdict.confidential else 'not confidential'}"

    def _named(self) -> Evidence:
        if self._evidence is None:
            raise ProofError("There is no evidence.")
        return self._evidence


def _lines(log: Path) -> list[bytes]:
    lines = []
    try:
        with userfile.open_regular(log) as file:
            while line := file.readline(MAX_LINE + 2):
                lines.append(line.removesuffix(b"\n"))
                if len(lines) > MAX_EVENTS:
                    raise InputError(f"{log} has more than {MAX_EVENTS} lines.")
    except OSError as error:
        raise InputError(f"{log} cannot be read: {error.strerror}.") from error
    return lines
