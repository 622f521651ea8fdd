"""The report of a result: its proof, its computation and its machine as one HTML page without scripts."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.collateral.sources import CollateralSources
from cloister.client.computation.review import review_manifest
from cloister.client.computation.timeline import key_names
from cloister.client.evidence.verdict import check_table
from cloister.client.report import page
from cloister.client.report.log_report import log_starts, logged_manifest, render_log
from cloister.client.result.audit import Audit, audit_log
from cloister.client.result.claims import claim_table
from cloister.client.result.proof import Proof, ProvenDocuments, file_table, receipt_facts, verify_result
from cloister.protocol import names
from cloister.protocol.manifest import Manifest
from cloister.userfile import FilePath

_UNPROVEN = (
    "That the times are right: they are from the host's clock. The seconds are the machine's own.",
    "What happened after the receipt was made: only the machine's event log says who fetched the result.",
    "That the algorithm does what its author says, and that the data are what their providers say: only their bytes "
    "are known, by digest.",
    "What the receivers of the result do with it.",
)


def write_report(
    file: FilePath,
    policy: Policy,
    output: FilePath,
    *,
    manifest: Manifest | None = None,
    collateral: CollateralSources | None = None,
    today: datetime.datetime | None = None,
) -> Proof | Audit:
    """Verify a result or an event log and write its report, also when it is not proven: the page then says what failed.

    Args:
        file: a result as `result` writes it, or a log as `events --save` writes it, with its evidence beside it.
        policy: the party's policy.
        output: the page, which is replaced.
        manifest: the reader's copy, which must be the one of the file; None for no copy. The page of a log shows
            what the manifest says only with it, because a log has only its digest.
        collateral: for what the evidence does not carry; None for none.
        today: the present, aware; None for the clock's time.

    Returns:
        The proof of the result, or the audit of the log.

    Raises:
        InputError: a file cannot be read, the manifest is another one, or the page cannot be written.
        MalformedEvidence: the file beside the log has no evidence.
    """
    file, output = Path(file), Path(output)
    now = today or datetime.datetime.now(datetime.UTC)
    found: Proof | Audit
    if log_starts(file):
        found = audit_log(file, policy=policy, collateral=collateral)
        page.require_manifest(manifest, logged_manifest(found), file)
        made = render_log(found, manifest, now)
    else:
        found = verify_result(file, policy, collateral=collateral, today=now)
        page.require_manifest(manifest, found.manifest.hex(), file)
        made = render(file, found, now)
    userfile.write_file(output, made.encode())
    return found


def render(result: Path, proof: Proof, now: datetime.datetime) -> str:
    """The page for a result and its proof. Only what is proven is shown of its contents."""
    documents = proof.documents if proof.accepted else None
    values: dict[str, Any] = {
        "subject": "result",
        "title": documents.manifest.name if documents else names.shown(result.name),
        "accepted": proof.accepted,
        "lead": list(_lead(proof, documents)),
        "notes": proof.notes,
        "claims": claim_table(proof.claims),
        "verdicts": [
            (when, verdict)
            for when, verdict in (("When the result was made", proof.at_creation), ("Today", proof.today))
            if verdict is not None
        ],
        "unproven": _UNPROVEN,
        "checks": check_table(proof.at_creation) if proof.at_creation else None,
        "machine": list(page.machine(proof.at_creation)) if proof.at_creation else [],
    }
    if documents is not None:
        values |= {
            "sections": review_manifest(documents.manifest),
            "timeline": page.timeline(
                documents.events, key_names(documents.manifest.parties), until=" up to the receipt"
            ),
            "files": file_table(documents.receipt) if documents.receipt.files else None,
            "receipt": list(receipt_facts(documents.receipt)),
        }
    return page.render(result, now, values)


def _lead(proof: Proof, documents: ProvenDocuments | None) -> Iterator[str]:
    if documents is None:
        yield f"Do not use this result. {page.failures(proof.claims)}"
        return
    manifest = documents.manifest
    providers = sorted({asset.provider for asset in manifest.datasets})
    given = f"data of {', '.join(providers)}" if providers else "no one's data"
    author = manifest.algorithm.asset.provider
    yield f"{author}'s algorithm {names.shown(manifest.algorithm.asset.file)} computed this result on {given}."
    verdict = proof.at_creation
    if verdict is not None:
        kind = "a confidential machine" if verdict.confidential else "a machine that is not confidential"
        yield f"It ran in {kind} ({verdict.platform}) that the policy accepted, at {documents.receipt.created}."
