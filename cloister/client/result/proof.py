"""Verifying a result: which image, manifest, data and algorithm made it.

Needs no machine and no network. Nothing that a result states about itself is trusted: every digest is recomputed, every
signature verified, and the evidence appraised under the reader's own policy.

Long because the checks of all parts of a result are one pass over one file.
"""

import datetime
import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.verifier import ReceiptPurpose, verify
from cloister.client.collateral.sources import CollateralSources
from cloister.client.computation.review import rollback
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, Part, Sentences, TextTable, one_line
from cloister.client.result.approvals import require_approvals
from cloister.client.result.claims import Claim, ClaimOutcome, ClaimRecorder, claim_table
from cloister.errors import ChangedFileError
from cloister.protocol import approval, archive, canonical, names, signingkey, transcript
from cloister.protocol import receipt as receipts
from cloister.protocol.approval import Approval
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.events import MAX_EVENTS, MAX_LINE, Event, EventChain, EventKind, Record
from cloister.protocol.manifest import Manifest
from cloister.protocol.receipt import Receipt
from cloister.userfile import FilePath

RECEIPT = f"{names.PROOF_FOLDER}/receipt.dsse.json"
EVIDENCE = f"{names.PROOF_FOLDER}/evidence.json"
MANIFEST = f"{names.PROOF_FOLDER}/manifest.json"
BOOT_CONFIGURATION = f"{names.PROOF_FOLDER}/boot-configuration.json"
EVENTS = f"{names.PROOF_FOLDER}/events.jsonl"
PARTS = (BOOT_CONFIGURATION, EVENTS, EVIDENCE, MANIFEST, RECEIPT)
APPROVALS = f"{names.PROOF_FOLDER}/approvals.json"
"""Only in a result that had to be approved: added by the client, because the receipt was made before."""

APPROVED = "Every party that had to approve the result has approved it"

MAX_OVERHEAD = 128 * 1024 * 1024
"""By how many bytes a result may exceed its files: the parts of its proof, and the archive's headers."""

_MAX_PART = 20 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class ProvenDocuments:
    """The documents in a result, each of them proven. ``events``: the log up to the receipt."""

    manifest: Manifest
    receipt: Receipt
    events: tuple[Event, ...]


@dataclass(frozen=True, repr=False)
class Proof:
    """What a verification found out about a result.

    claims: each proven or not, up to the first that fails.
    manifest: SHA-256 of the manifest that made the result; empty bytes when a claim failed.
    at_creation: the verdict on the evidence at the time of the receipt; None if it could not be appraised.
    today: the verdict on the same evidence today; None if it could not be appraised.
    documents: what the result says of itself; None when a claim failed.
    notes: sentences on what the host could do to a proven result or see of it.
    preview: an approver fetched it before it was approved, so nothing is said of approvals.
    """

    claims: tuple[Claim, ...]
    manifest: bytes
    at_creation: Verdict | None
    today: Verdict | None
    notes: tuple[str, ...] = ()
    documents: ProvenDocuments | None = None
    preview: bool = False

    @property
    def accepted(self) -> bool:
        """Whether every claim is proven as of the time of the receipt; of a preview, all but its approvals."""
        claims = [claim for claim in self.claims if not (self.preview and claim.text == APPROVED)]
        return all(claim.outcome is ClaimOutcome.PROVEN for claim in claims)

    def decision(self) -> str:
        """The outcome in two words."""
        if self.preview:
            return "preview, not approved yet" if self.accepted else "NOT PROVEN"
        return "proven" if self.accepted else "NOT PROVEN"

    def parts(self) -> Iterator[Part]:
        """The proof for showing: claims, notes and, of a proven result, its receipt and its files."""
        yield claim_table(self.claims)
        today = rejection_today(self)
        notes = (*self.notes, *((f"Today your policy would reject the machine: {today}",) if today else ()))
        if notes:
            yield Sentences(notes, warning=True)
        if self.documents is not None and self.accepted:
            yield Facts.of(receipt_facts(self.documents.receipt), code=True)
            yield file_table(self.documents.receipt)

    def __str__(self) -> str:
        return "\n".join(claim.line() for claim in self.claims)

    def __repr__(self) -> str:
        return one_line(f"Proof: {self.decision()}")

    def _repr_html_(self) -> str:
        return fragment(f"The result is {self.decision()}", *self.parts(), accepted=self.accepted)

    def require_accepted(self) -> None:
        """Raise ProofError, with what failed, unless every claim is proven."""
        if not self.accepted:
            failed = [one for one in self.claims if one.outcome is ClaimOutcome.FAILED]
            said = " ".join(f'Not so: "{one.text}". {one.detail}' for one in failed)
            policy = "your policy may demand collateral that you do not have (--collateral). Otherwise ask"
            rejected = self.at_creation is not None and not self.at_creation.accepted
            raise ChangedFileError(
                f"The result is not proven. {said}",
                hint=f"Do not use it: {policy if rejected else 'ask'} the consumer for an unchanged copy.",
            )

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "version": 1,
            "accepted": self.accepted,
            "manifest": self.manifest.hex(),
            "preview": self.preview,
            "statements": [claim.value() for claim in self.claims],
            "notes": list(self.notes),
            "verdicts": {
                name: verdict.value()
                for name, verdict in (("then", self.at_creation), ("today", self.today))
                if verdict is not None
            },
        }


def verify_result(
    path: FilePath,
    policy: Policy,
    *,
    collateral: CollateralSources | None = None,
    today: datetime.datetime | None = None,
    approvals: Sequence[Approval] = (),
    preview: bool = False,
) -> Proof:
    """Verify a result offline.

    Args:
        path: a result as `result` writes it.
        policy: the party's policy.
        collateral: for what the evidence does not carry; None for none.
        today: the present, aware; None for the clock's time.
        approvals: those that the file itself does not have, because it was fetched before they were given.
        preview: the file was fetched before it was approved: approvals are not demanded.

    Returns:
        What is proven, and what is not.

    Raises:
        InputError: the file cannot be read.
    """
    path = Path(path)
    try:
        userfile.open_regular(path).close()
    except IsADirectoryError as error:
        raise userfile.FileError(
            f"{path} is a folder, and a result is proven as one file.",
            hint="Name the file that `result` wrote, not what it unpacked.",
        ) from error
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    return _Prover(
        path,
        policy,
        collateral or CollateralSources(),
        today or datetime.datetime.now(datetime.UTC),
        tuple(approvals),
        preview,
    ).prove()


@dataclass
class _Prover:
    """One pass over one file. The checks fill in the members that they prove, in order."""

    evidence: Evidence = field(init=False)
    receipt: Receipt = field(init=False)
    collateral: Collateral = field(init=False)

    path: Path
    policy: Policy
    sources: CollateralSources
    now: datetime.datetime
    given: tuple[Approval, ...] = ()
    preview: bool = False
    names: list[str] = field(default_factory=list)
    payload: bytes = b""
    manifest: Manifest | None = None
    at_creation: Verdict | None = None
    today: Verdict | None = None
    events: list[Event] = field(default_factory=list)

    def prove(self) -> Proof:
        recorder = ClaimRecorder()
        recorder.check("The file is a result, byte for byte as an agent writes it", self._archive)
        recorder.check("The receipt is signed by the agent's event-log key", self._receipt)
        recorder.check("The evidence was accepted by your policy when the result was made", self._judge)
        recorder.check("The files are the ones that the receipt names", self._files)
        recorder.check("The manifest is the one that ran", self._manifest)
        recorder.check("The boot configuration is the measured one", self._configuration)
        recorder.check("The measurements in the receipt are those of the evidence", self._measurements)
        recorder.check("Every provider consented to the use of its assets", self._consents)
        if self.manifest is not None and (self.manifest.results.approvers or APPROVALS in self.names or self.given):
            if self.preview and APPROVALS not in self.names and not self.given:
                recorder.skip(APPROVED, "it was fetched before, to decide on it")
            else:
                recorder.check(APPROVED, self._approvals)
        recorder.check("The event log is complete and signed, up to the receipt", self._events)
        proven = self.manifest if not recorder.failed else None
        digest, notes = (proven.digest(), tuple(self._notes(proven))) if proven else (b"", ())
        documents = ProvenDocuments(proven, self.receipt, tuple(self.events)) if proven else None
        return Proof(recorder.claims(), digest, self.at_creation, self.today, notes, documents, self.preview)

    def _notes(self, manifest: Manifest) -> Iterator[str]:
        if not self._judged().confidential:
            yield "The machine was not confidential: its host could read everything in it."
        if said := rollback(manifest):
            yield said

    def _archive(self) -> str:
        self.names = archive.check_zip(self.path)
        parts = [name for name in self.names if names.in_proof_folder(name)]
        if parts not in (sorted(PARTS), sorted((*PARTS, APPROVALS))):
            found = ", ".join(names.shown(name) for name in parts)
            raise ChangedFileError(
                f"The parts of the proof differ (expected: {', '.join(sorted(PARTS))}, found: {found})."
            )
        count = len(self.names) - len(parts)
        return f"{count} result file{'' if count == 1 else 's'} and {len(parts)} parts of proof"

    def _read(self, name: str) -> bytes:
        with zipfile.ZipFile(self.path) as packed:
            if packed.getinfo(name).file_size > _MAX_PART:
                raise ChangedFileError(f"{name} is larger than {_MAX_PART} bytes.")
            return packed.read(name)

    def _receipt(self) -> str:
        self.evidence = Evidence.parse_json(self._canonical(EVIDENCE))
        self.payload = receipts.open_envelope(self._read(RECEIPT), self.evidence.event_log_key)
        self.receipt = Receipt.parse(self.payload)
        return f"key {signingkey.key_id(self.evidence.event_log_key)}"

    def _canonical(self, name: str) -> bytes:
        """A part in canonical form, so that no byte of it can change unnoticed."""
        data = self._read(name)
        canonical.parse_canonical(data, what=name, limit=_MAX_PART)
        return data

    def _judge(self) -> str:
        made = canonical.from_time(self.receipt.created, what="The receipt's time")
        if made > self.now + datetime.timedelta(days=1):
            raise ChangedFileError(f"The time of the receipt, {self.receipt.created}, is in the future.")
        self.collateral, _ = self.sources.for_evidence(self.evidence)
        self.at_creation = self._verdict(made)
        self.today = self._verdict(self.now)
        self.at_creation.require_accepted()
        flavor = self.at_creation.claims.image[0] if self.at_creation.claims.image else "unknown"
        kind = "confidential" if self.at_creation.confidential else "not confidential"
        return f"image {flavor} on {self.at_creation.platform} ({kind}), at {self.receipt.created} by the host's clock"

    def _verdict(self, at: datetime.datetime) -> Verdict:
        purpose = ReceiptPurpose(receipts.payload_digest(self.payload), bytes.fromhex(self.receipt.log_head))
        manifest = bytes.fromhex(self.receipt.manifest)
        return verify(
            self.evidence, self.policy, purpose=purpose, at=at, manifest_digest=manifest, collateral=self.collateral
        )

    def _files(self) -> str:
        found = {}
        with zipfile.ZipFile(self.path) as packed:
            for name in self.names:
                if not names.in_proof_folder(name):
                    state = hashlib.sha256()
                    with packed.open(name) as source:
                        while data := source.read(_CHUNK):
                            state.update(data)
                    found[name] = state.hexdigest()
        named = dict(self.receipt.files)
        for name in sorted(found.keys() | named.keys()):
            if found.get(name) != named.get(name):
                expected, digest = named.get(name, "no such file"), found.get(name, "no such file")
                raise ChangedFileError(f"{names.shown(name)}: SHA-256 differs (receipt: {expected}, file: {digest}).")
        return ", ".join(names.shown(name) for name in sorted(found))

    def _manifest(self) -> str:
        manifest = Manifest.parse(self._read(MANIFEST))
        _same("The digest of the manifest", self.receipt.manifest, manifest.digest().hex())
        _same("The assets", self.receipt.assets, {one.name: one.digest for one in manifest.assets()})
        self.manifest = manifest
        return f"{manifest.name}, {manifest.digest().hex()}"

    def _configuration(self) -> str:
        data = self._read(BOOT_CONFIGURATION)
        _same("The boot configuration", self.evidence.boot_configuration.hex(), data.hex())
        configuration = BootConfiguration.parse(data)
        _same("The digest of the boot configuration", self.receipt.boot_configuration, configuration.digest().hex())
        return f"workspace {configuration.workspace}, CVM {configuration.cvm}"

    def _measurements(self) -> str:
        verdict = self._judged()
        for index, value in sorted(self.receipt.pcrs.items()):
            found = verdict.claims.pcrs.get(index, b"")
            _same(f"PCR {index}", value, found.hex() or "absent")
        _same("The platform", self.receipt.platform, verdict.platform)
        if verdict.accepted:  # a rejected machine is never called confidential
            _same("Whether the machine is confidential", self.receipt.confidential, verdict.confidential)
        return f"PCR {', '.join(str(index) for index in sorted(self.receipt.pcrs))}"

    def _consents(self) -> str:
        manifest = self._proven_manifest()
        given = {consent.asset: consent for consent in self.receipt.consents}
        for asset in manifest.assets():
            consent = given.pop(asset.name, None)
            if consent is None:
                raise ChangedFileError(f"The consent to the use of {asset.name} is missing.")
            _same(f"The party that consents to {asset.name}", asset.provider, consent.party)
            _same(f"The digest in the consent to {asset.name}", asset.digest, consent.digest)
            message = transcript.consent_message(
                manifest_digest=manifest.digest(),
                asset=asset.name,
                asset_digest=bytes.fromhex(asset.digest),
                transcript=consent.transcript,
            )
            if not signingkey.verify(manifest.parties[asset.provider], consent.signature, message):
                raise ChangedFileError(f"The consent to the use of {asset.name} is not signed by {asset.provider}.")
        if given or len(self.receipt.consents) != len(manifest.assets()):
            raise ChangedFileError(
                "There are consents to assets that are not in the manifest, or several to one asset."
            )
        return ", ".join(f"{asset.name} by {asset.provider}" for asset in manifest.assets())

    def _approvals(self) -> str:
        manifest = self._proven_manifest()
        within = approval.parse(self._read(APPROVALS)) if APPROVALS in self.names else ()
        return require_approvals((*self.given, *within), manifest, receipts.payload_digest(self.payload))

    def _events(self) -> str:
        digest = self._proven_manifest().digest().hex()
        chain = EventChain(self.evidence.event_log_key)
        accepted = False
        for line in self._read(EVENTS).splitlines(keepends=True):
            if not line.endswith(b"\n") or len(line) > MAX_LINE + 1 or chain.count >= MAX_EVENTS:
                raise ChangedFileError(f"Line {chain.count + 1} of {EVENTS} is not a complete event.")
            record = Record.parse(line[:-1])
            chain.add(record)
            self.events.append(record.event)
            if record.event.kind is EventKind.MANIFEST:
                _same("The manifest in the event log", digest, record.event.manifest)
                accepted = True
        _same("The head of the event log", self.receipt.log_head, chain.head.hex())
        if not accepted:
            raise ChangedFileError("The event log has no accepted manifest.")
        return f"{chain.count} events"

    def _judged(self) -> Verdict:
        if self.at_creation is None:
            raise ChangedFileError("There is no verdict on the evidence.")
        return self.at_creation

    def _proven_manifest(self) -> Manifest:
        if self.manifest is None:
            raise ChangedFileError("The manifest is not proven.")
        return self.manifest


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise ChangedFileError(f"{what} differs (expected: {expected}, found: {found}).")


def receipt_facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    """A receipt without its files and consents, each value with its name."""
    yield "Made", f"{receipt.created}, by the host's clock"
    yield "SHA-256 of its statement", receipts.payload_digest(receipt.payload()).hex()
    yield "Manifest", receipt.manifest
    yield "Boot configuration", receipt.boot_configuration
    yield "Head of the event log", receipt.log_head


def file_table(receipt: Receipt) -> TextTable:
    """The files that a receipt names."""
    rows = [(names.shown(name), digest) for name, digest in sorted(receipt.files.items())]
    return TextTable.of((("File", "text"), ("SHA-256", "code")), rows, more="further files, which the receipt names")


def rejection_today(found: Proof) -> str:
    """Return why the policy would reject the evidence today; empty when it would not."""
    if found.today is None or found.today.accepted:
        return ""
    return " ".join(check.sentence() for check in found.today.failures)
