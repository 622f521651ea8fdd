"""The page of a report: its template, and the parts that every report has."""

import datetime
import hashlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.result.verdict import Verdict
from cloister.client.computation.timeline import Timeline, timeline_table
from cloister.client.html import templates
from cloister.client.html.parts import TextTable
from cloister.client.result.claims import Claim, ClaimOutcome
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.events import Event
from cloister.protocol.manifest import Manifest
from cloister.protocol.signingkey import key_id
from cloister.units import local_time

_CHUNK = 1024 * 1024


def render(file: Path, now: datetime.datetime, values: Mapping[str, Any]) -> str:
    """The page about ``file``. ``values`` are those of the template that differ from one kind of report to another."""
    every = {
        "made": local_time(now),
        "version": importlib.metadata.version("cloister"),
        "file": names.shown(file.name),
        "command": names.quoted(file.name),
        "digest": _digest(file),
        **dict.fromkeys(("notes", "verdicts", "sections", "timeline", "files", "receipt", "machine"), ()),
        "checks": None,
    }
    return templates.template("report", "page.html.j2").render({**every, **values})


def require_manifest(manifest: Manifest | None, found: str, file: Path) -> None:
    """Raise InputError when the reader's ``manifest`` is not that of a proven file, with the digest ``found``."""
    if manifest is not None and found and manifest.digest().hex() != found:
        raise InputError(
            f"The manifest is not the one of {file} (manifest: {manifest.digest().hex()}, {file.name}: {found}).",
            hint="Pass the manifest that was submitted, or omit --manifest.",
        )


def failures(claims: Sequence[Claim]) -> str:
    """What failed, or else what was not checked, as sentences."""
    for outcome in (ClaimOutcome.FAILED, ClaimOutcome.NOT_CHECKED):
        if found := [f"{claim.text}: {claim.detail}" for claim in claims if claim.outcome is outcome]:
            return " ".join(found)
    return ""


def timeline(events: Sequence[Event], known: Mapping[str, str], *, until: str = "") -> TextTable | None:
    """The first and the last events, with a sentence for those that are left out between them; None for no events."""
    if not events:
        return None
    read = Timeline(known)
    caption = f"{len(events)} signed events{until}. Times are from the host's clock; seconds are the machine's own, "
    return timeline_table(
        [read.entry(event) for event in events],
        caption=f"{caption}since its start.",
        more="further events, which are in the event log",
    )


def machine(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """What a verdict says of a machine."""
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
