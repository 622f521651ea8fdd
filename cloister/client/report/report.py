"""The report of a result: its proof, its computation and its machine as one HTML page without scripts."""

import datetime
import hashlib
import importlib.metadata
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Verdict
from cloister.client.collateral.sources import CollateralSources
from cloister.client.computation.review import review_manifest
from cloister.client.computation.timeline import Timeline, TimelineEntry, key_names
from cloister.client.html import templates
from cloister.client.result.claims import ClaimOutcome
from cloister.client.result.proof import Proof, ProvenDocuments, verify_result
from cloister.protocol import names, text
from cloister.protocol import receipt as receipts
from cloister.protocol.events import Event
from cloister.protocol.manifest import Manifest
from cloister.protocol.signingkey import key_id
from cloister.units import local_time
from cloister.userfile import FilePath

MAX_ROWS = 400
"""Events and files that a page lists each: a page of any log stays below 300 kB and opens at once."""

_CHUNK = 1024 * 1024

_UNPROVEN = (
    "That the times are right: they are from the host's clock. The seconds are the machine's own.",
    "What happened after the receipt was made: only the machine's event log says who fetched the result.",
    "That the algorithm does what its author says, and that the data are what their providers say: only their bytes "
    "are known, by digest.",
    "What the receivers of the result do with it.",
)


def write_report(
    result: FilePath,
    policy: Policy,
    output: FilePath,
    *,
    collateral: CollateralSources | None = None,
    today: datetime.datetime | None = None,
) -> Proof:
    """Verify a result and write its report, also when it is not proven: the page then says so, and what failed.

    Args:
        result: a result as `result` writes it.
        policy: the party's policy.
        output: the page, which is replaced.
        collateral: for what the evidence does not carry; None for none.
        today: the present, aware; None for the clock's time.

    Returns:
        The proof.

    Raises:
        InputError: the result cannot be read, or the page cannot be written.
    """
    result = Path(result)
    output = Path(output)
    now = today or datetime.datetime.now(datetime.UTC)
    proof = verify_result(result, policy, collateral=collateral, today=now)
    userfile.write_file(output, render(result, proof, now).encode())
    return proof


def render(result: Path, proof: Proof, now: datetime.datetime) -> str:
    """The page for a result and its proof. Only what is proven is shown of its contents."""
    documents = proof.documents if proof.accepted else None
    values: dict[str, Any] = {
        "title": documents.manifest.name if documents else names.shown(result.name),
        "accepted": proof.accepted,
        "lead": list(_lead(proof, documents)),
        "notes": proof.notes,
        "made": local_time(now),
        "version": importlib.metadata.version("cloister"),
        "file": names.shown(result.name),
        "command": shlex.quote(text.printable(result.name)),
        "digest": _digest(result),
        "claims": proof.claims,
        "verdicts": [
            (when, verdict)
            for when, verdict in (("When the result was made", proof.at_creation), ("Today", proof.today))
            if verdict is not None
        ],
        "unproven": _UNPROVEN,
        "verdict": proof.at_creation,
        "machine": list(_machine(proof.at_creation)) if proof.at_creation else [],
        **dict.fromkeys(("sections", "timeline", "files", "receipt"), ()),
    }
    if documents is not None:
        files = sorted(documents.receipt.files.items())
        values |= {
            "sections": review_manifest(documents.manifest),
            "timeline": _timeline(documents.events, documents.manifest),
            "events": len(documents.events),
            "files": [(names.shown(name), digest) for name, digest in files[:MAX_ROWS]],
            "more_files": max(0, len(files) - MAX_ROWS),
            "receipt": list(_receipt(documents)),
        }
    return templates.template("report", "page.html.j2").render(values)


def _lead(proof: Proof, documents: ProvenDocuments | None) -> Iterator[str]:
    if documents is None:
        failed = [claim for claim in proof.claims if claim.outcome is ClaimOutcome.FAILED]
        yield "Do not use this result. " + " ".join(f"{claim.text}: {claim.detail}" for claim in failed)
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


def _timeline(events: Sequence[Event], manifest: Manifest) -> list[TimelineEntry | str]:
    """The first and the last events, with a sentence for those that are left out between them."""
    timeline = Timeline(key_names(manifest.parties))
    entries: list[TimelineEntry | str] = [timeline.entry(event) for event in events]
    left_out = len(entries) - MAX_ROWS
    if left_out <= 0:
        return entries
    half = MAX_ROWS // 2
    return [*entries[:half], f"{left_out} further events, which are in the result's event log", *entries[-half:]]


def _receipt(documents: ProvenDocuments) -> Iterator[tuple[str, str]]:
    receipt = documents.receipt
    yield "Made", f"{receipt.created}, by the host's clock"
    yield "SHA-256 of its statement", receipts.payload_digest(receipt.payload()).hex()
    yield "Manifest", receipt.manifest
    yield "Boot configuration", receipt.boot_configuration
    yield "Head of the event log", receipt.log_head


def _machine(verdict: Verdict) -> Iterator[tuple[str, str]]:
    claims = verdict.claims
    yield "Platform", verdict.platform
    yield "Confidential", "yes" if verdict.confidential else "no"
    yield "Workspace and CVM", f"{claims.boot_configuration.workspace}, {claims.boot_configuration.cvm}"
    if claims.image is not None:
        yield "Image", f"{claims.image[0]}, manifest {claims.image[1].hex()}"
    yield "Event-log key", key_id(claims.event_log_key)
    for name, value in claims.identity.items():
        yield name, value or "-"
    for index, value in sorted(claims.pcrs.items()):
        yield f"PCR {index}", value.hex()


def _digest(path: Path) -> str:
    state = hashlib.sha256()
    try:
        with userfile.open_regular(path) as file:
            while data := file.read(_CHUNK):
                state.update(data)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    return state.hexdigest()
