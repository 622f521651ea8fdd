"""The report of an event log: what has happened so far, in which machine, before there is a result."""

import datetime
from collections.abc import Iterator
from pathlib import Path

from cloister import userfile
from cloister.client.computation.review import review_manifest
from cloister.client.computation.timeline import key_names
from cloister.client.evidence.verdict import check_table
from cloister.client.report import page
from cloister.client.result.audit import Audit
from cloister.client.result.claims import claim_table
from cloister.protocol import names
from cloister.protocol.events import EventKind
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import ComputationProgress

_UNPROVEN = (
    "That the evidence was fresh when it was saved, and that the log has no later events: the machine alone knows.",
    "That the times are right: they are from the host's clock. The seconds are the machine's own.",
    "That the algorithm does what its author says, and that the data are what their providers say: only their bytes "
    "are known, by digest.",
)


def log_starts(path: Path) -> bool:
    """Whether ``path`` begins as an event log does, and not as a result. Raises InputError when it cannot be read."""
    try:
        with userfile.open_regular(path) as file:
            return file.read(1) == b"{"
    except OSError as error:
        raise userfile.unreadable(path, error) from error


def logged_manifest(audit: Audit) -> str:
    """The digest of the manifest that a proven log names (hex), "" when it names none."""
    events = audit.events if audit.accepted else ()
    return next((event.manifest or "" for event in events if event.kind is EventKind.MANIFEST), "")


def render_log(audit: Audit, manifest: Manifest | None, now: datetime.datetime) -> str:
    """The page for a log and its audit. Only what is proven is shown of its contents; ``manifest`` is the log's."""
    events = audit.events if audit.accepted else ()
    shown = manifest if logged_manifest(audit) else None
    values = {
        "subject": "log",
        "title": shown.name if shown else names.shown(audit.log.name),
        "accepted": audit.accepted,
        "lead": list(_lead(audit)),
        "claims": claim_table(audit.claims),
        "verdicts": [("Today", audit.verdict)] if audit.verdict else [],
        "unproven": _UNPROVEN,
        "checks": check_table(audit.verdict) if audit.verdict else None,
        "machine": list(page.machine(audit.verdict)) if audit.verdict else [],
        "sections": review_manifest(shown) if shown else (),
        "timeline": page.timeline(events, key_names(shown.parties) if shown else {}),
        "notes": ["The machine is not confidential: its host can read everything in it."]
        if audit.accepted and audit.verdict and not audit.verdict.confidential
        else [],
    }
    return page.render(audit.log, now, values)


def _lead(audit: Audit) -> Iterator[str]:
    if not audit.accepted:
        yield f"Do not rely on this log. {page.failures(audit.claims)}"
        return
    progress = ComputationProgress()
    for event in audit.events:
        progress = progress.after(event)
    yield f"When the log was saved, the computation was in the state {progress}."
    if not (logged := logged_manifest(audit)):
        yield "The machine had not received a manifest yet."
    else:
        yield f"The machine has the manifest with the SHA-256 {logged}, and takes no other until it starts again."
    yield "This page is not about a result: a result has a report of its own."
