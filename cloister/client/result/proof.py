"""The proof that comes with a result: which image, manifest, data and algorithm made it.

Needs no machine and no network. Nothing that a result says about itself is believed because it says so: every digest
is computed again, every signature checked, and the evidence judged under the reader's own policy.
"""

import datetime
import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Verdict
from cloister.attestation.verifier import ReceiptPurpose, verify
from cloister.client.evidence.vendors import Vendors
from cloister.client.result.claims import Account, Outcome, Statement
from cloister.errors import InputError, ProofError
from cloister.protocol import archive, canonical, transcript
from cloister.protocol import receipt as receipts
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.events import MAX_EVENTS, MAX_LINE, EventChain, EventKind, Record
from cloister.protocol.manifest import Manifest
from cloister.protocol.receipt import Receipt

RESULTS = "results/"
RECEIPT = "cloister/receipt.dsse.json"
EVIDENCE = "cloister/evidence.json"
MANIFEST = "cloister/manifest.json"
BOOT_CONFIGURATION = "cloister/boot-configuration.json"
EVENTS = "cloister/events.jsonl"
PARTS = (BOOT_CONFIGURATION, EVENTS, EVIDENCE, MANIFEST, RECEIPT)

MAX_OVERHEAD = 128 * 1024 * 1024
"""Bytes that a result may be larger than its files: the parts of its proof, and the archive's own."""

_MAX_PART = 20 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Proof:
    """What was found out about a result. ``then`` and ``today`` are None when the evidence could not be judged.

    ``manifest`` is the digest of the manifest that made the result, empty bytes when nothing was proven.
    """

    statements: tuple[Statement, ...]
    manifest: bytes
    then: Verdict | None
    today: Verdict | None

    @property
    def accepted(self) -> bool:
        """Whether everything is proven as of the time when the result was made."""
        return all(statement.outcome is Outcome.PROVEN for statement in self.statements)

    def require_accepted(self) -> None:
        """Raises ProofError with what failed."""
        if not self.accepted:
            failed = [f"{one.text}: {one.detail}" for one in self.statements if one.outcome is Outcome.FAILED]
            raise ProofError(
                "The result is not proven. " + " ".join(failed), hint="Do not use it; ask for where it comes from."
            )

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "version": 1,
            "accepted": self.accepted,
            "manifest": self.manifest.hex(),
            "statements": [statement.value() for statement in self.statements],
            "verdicts": {
                name: verdict.value()
                for name, verdict in (("then", self.then), ("today", self.today))
                if verdict is not None
            },
        }


def prove(
    path: Path, policy: Policy, *, vendors: Vendors | None = None, today: datetime.datetime | None = None
) -> Proof:
    """Everything that can be found out about the result at ``path`` under ``policy``. Raises InputError.

    ``vendors`` state what the evidence itself does not carry; ``today`` is an aware time, now when None.
    """
    try:
        userfile.open_regular(path).close()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return _Prover(path, policy, vendors or Vendors(), today or datetime.datetime.now(datetime.UTC)).prove()


@dataclass
class _Prover:
    """One pass over one file. Members are filled in by the checks that prove them, in their order."""

    evidence: Evidence = field(init=False)
    receipt: Receipt = field(init=False)
    collateral: Collateral = field(init=False)

    path: Path
    policy: Policy
    vendors: Vendors
    now: datetime.datetime
    names: list[str] = field(default_factory=list)
    payload: bytes = b""
    manifest: Manifest | None = None
    then: Verdict | None = None
    today: Verdict | None = None

    def prove(self) -> Proof:
        account = Account()
        account.check("The file is a result, byte for byte as an agent writes it", self._archive)
        account.check("The receipt is signed by the agent's event-log key", self._receipt)
        account.check("The evidence is accepted by your policy, as of then", self._judge)
        account.check("The files are the ones that the receipt names", self._files)
        account.check("The manifest is the one that ran", self._manifest)
        account.check("The boot configuration is the measured one", self._configuration)
        account.check("The measurements in the receipt are those of the evidence", self._measurements)
        account.check("Every provider consented to the use of its assets", self._consents)
        account.check("The event log is whole and signed, up to the receipt", self._events)
        proven = self.manifest.digest() if self.manifest and not account.failed else b""
        return Proof(account.statements(), proven, self.then, self.today)

    def _archive(self) -> str:
        self.names = archive.check_zip(self.path)
        others = [name for name in self.names if not name.startswith(RESULTS)]
        if others != sorted(PARTS):
            raise ProofError(f"Expected are {', '.join(sorted(PARTS))} beside the results, found {', '.join(others)}.")
        return f"{len(self.names) - len(PARTS)} result files and {len(PARTS)} parts of proof"

    def _read(self, name: str) -> bytes:
        with zipfile.ZipFile(self.path) as packed:
            if packed.getinfo(name).file_size > _MAX_PART:
                raise ProofError(f"{name} is larger than {_MAX_PART} bytes.")
            return packed.read(name)

    def _receipt(self) -> str:
        self.evidence = Evidence.parse_json(self._canonical(EVIDENCE))
        self.payload = receipts.open_envelope(self._read(RECEIPT), self.evidence.event_log_key)
        self.receipt = Receipt.parse(self.payload)
        return f"key {transcript.key_id(self.evidence.event_log_key)}"

    def _canonical(self, name: str) -> bytes:
        """A part whose bytes are its content's only spelling, so that none of them can change unnoticed."""
        data = self._read(name)
        canonical.parse_canonical(data, what=name, limit=_MAX_PART)
        return data

    def _judge(self) -> str:
        made = canonical.from_time(self.receipt.created, what="The receipt's time")
        if made > self.now + datetime.timedelta(days=1):
            raise ProofError(f"The receipt was made at {self.receipt.created}, which is in the future.")
        self.collateral, _ = self.vendors.about(self.evidence)
        self.then = self._verdict(made)
        self.today = self._verdict(self.now)
        self.then.require_accepted()
        flavor = self.then.claims.image[0] if self.then.claims.image else "unknown"
        kind = "confidential" if self.then.confidential else "not confidential"
        return f"image {flavor} on {self.then.platform} ({kind}), at {self.receipt.created} by the host's clock"

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
                if name.startswith(RESULTS):
                    state = hashlib.sha256()
                    with packed.open(name) as source:
                        while data := source.read(_CHUNK):
                            state.update(data)
                    found[name] = state.hexdigest()
        named = dict(self.receipt.files)
        for name in sorted(found.keys() | named.keys()):
            if found.get(name) != named.get(name):
                expected, digest = named.get(name, "no such file"), found.get(name, "no such file")
                raise ProofError(f"{name}: the receipt names {expected}, found {digest}.")
        return ", ".join(sorted(found))

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
        if verdict.accepted:  # one that is not says of no machine that it is confidential
            _same("Whether the machine is confidential", self.receipt.confidential, verdict.confidential)
        return f"PCR {', '.join(str(index) for index in sorted(self.receipt.pcrs))}"

    def _consents(self) -> str:
        manifest = self._proven_manifest()
        given = {consent.asset: consent for consent in self.receipt.consents}
        for asset in manifest.assets():
            consent = given.pop(asset.name, None)
            if consent is None:
                raise ProofError(f"There is no consent to the use of {asset.name}.")
            _same(f"The party that consents to {asset.name}", asset.provider, consent.party)
            _same(f"The digest in the consent to {asset.name}", asset.digest, consent.digest)
            message = transcript.consent_message(
                manifest_digest=manifest.digest(),
                asset=asset.name,
                asset_digest=bytes.fromhex(asset.digest),
                transcript=consent.transcript,
            )
            if not transcript.verify(manifest.parties[asset.provider], consent.signature, message):
                raise ProofError(f"The consent to the use of {asset.name} is not signed by {asset.provider}.")
        if given or len(self.receipt.consents) != len(manifest.assets()):
            raise ProofError("There are consents to assets that the manifest does not have, or two to one.")
        return ", ".join(f"{asset.name} by {asset.provider}" for asset in manifest.assets())

    def _events(self) -> str:
        digest = self._proven_manifest().digest().hex()
        chain = EventChain(self.evidence.event_log_key)
        accepted = False
        for line in self._read(EVENTS).splitlines(keepends=True):
            if not line.endswith(b"\n") or len(line) > MAX_LINE + 1 or chain.count >= MAX_EVENTS:
                raise ProofError(f"Line {chain.count + 1} of {EVENTS} is not a whole event.")
            record = Record.parse(line[:-1])
            chain.add(record)
            if record.event.kind is EventKind.MANIFEST:
                _same("The manifest in the event log", digest, record.event.manifest)
                accepted = True
        _same("The head of the event log", self.receipt.log_head, chain.head.hex())
        if not accepted:
            raise ProofError("The event log does not say that a manifest was accepted.")
        return f"{chain.count} events"

    def _judged(self) -> Verdict:
        if self.then is None:
            raise ProofError("The evidence was not judged.")
        return self.then

    def _proven_manifest(self) -> Manifest:
        if self.manifest is None:
            raise ProofError("The manifest is not proven.")
        return self.manifest


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise ProofError(f"{what} is {found}, expected is {expected}.")


def why_not_today(found: Proof) -> str:
    """What the policy would say about the evidence if it were taken today, empty when nothing has changed."""
    if found.today is None or found.today.accepted:
        return ""
    return " ".join(check.sentence() for check in found.today.failures)
