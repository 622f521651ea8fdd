"""Makes usage records of what is proven of a computation, and checks those of other parties."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.client.collateral.sources import CollateralSources
from cloister.client.files.keys import Key
from cloister.client.result.audit import audit_log
from cloister.client.result.proof import verify_result
from cloister.client.usage.record import MAX_SIZE, UsageRecord
from cloister.errors import ChangedFileError, InputError
from cloister.protocol import canonical, signingkey
from cloister.protocol.events import Event, EventKind
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import ComputationProgress
from cloister.userfile import FilePath

_ZIP = b"PK"


def record_usage(
    source: FilePath,
    key: Key,
    policy: Policy,
    *,
    manifest: Manifest | None = None,
    collateral: CollateralSources | None = None,
) -> UsageRecord:
    """Make the usage record of a computation from what the machine signed, and sign it.

    Args:
        source: a result, or an event log of `events --save` with its evidence beside it.
        key: the party's key, which signs the record.
        policy: the party's policy: the machine must have been one that it accepts.
        manifest: the manifest that all parties agreed on; an event log needs it, a result has it.
        collateral: for what the evidence does not carry; None for none.

    Returns:
        The record.

    Raises:
        InputError: a file cannot be read, or the manifest is missing or another one.
        ChangedFileError: the result or the log is not proven.
    """
    source = Path(source)
    try:
        with userfile.open_regular(source) as file:
            is_result = file.read(len(_ZIP)) == _ZIP
    except OSError as error:
        raise userfile.unreadable(source, error) from error
    if is_result:
        proof = verify_result(source, policy, collateral=collateral)
        proof.require_accepted()
        if proof.documents is None or proof.at_creation is None:
            raise ChangedFileError(f"{source} is not proven.")
        proven, events, verdict = proof.documents.manifest, proof.documents.events, proof.at_creation
        if manifest is not None and manifest.digest() != proven.digest():
            raise _other_manifest(manifest, proven.digest().hex())
    else:
        audit = audit_log(source, policy=policy, collateral=collateral)
        audit.require_accepted()
        if audit.verdict is None:
            raise ChangedFileError(f"{source} is not proven: there is no evidence beside it.")
        if manifest is None:
            raise InputError(
                "An event log does not have the manifest.", hint="Pass --manifest, or name a result instead of a log."
            )
        logged = next((event.manifest for event in audit.events if event.kind is EventKind.MANIFEST), None)
        if logged != manifest.digest().hex():
            raise _other_manifest(manifest, logged or "none")
        proven, events, verdict = manifest, audit.events, audit.verdict
    source_kind = "result" if is_result else "log"
    return UsageRecord.sign(_usage(proven, events, verdict, source_kind, key), key)


def check_usage(path: FilePath, manifest: Manifest | None = None) -> UsageRecord:
    """Read a usage record and verify its signature.

    Args:
        path: a record as `usage` writes it.
        manifest: the manifest of the computation; None does not compare.

    Returns:
        The record. Who signed it is known by ``key_id``, or by the name in the manifest.

    Raises:
        InputError: the file cannot be read, or is something else.
        ChangedFileError: the record was changed, is about another manifest, says something else than the manifest, or
            is not signed by the party of which it says that it is.
    """
    try:
        data = userfile.read(Path(path), MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    record = UsageRecord.parse(data)
    if manifest is not None:
        for name, expected in _declared(manifest).items():
            if record.usage[name] != expected:
                raise ChangedFileError(
                    f"{path}: {name} is not that of the manifest {manifest.digest().hex()}.",
                    hint="Name the manifest of this computation, or ask the record's sender what it is about.",
                )
        names, claimed = manifest.names(record.key), record.usage["party"]
        if not names:
            raise ChangedFileError(
                f"{path} is signed by the key {record.key_id}, which belongs to no party of the manifest."
            )
        if claimed not in names:
            raise ChangedFileError(
                f"{path} says that it is of {claimed or 'no party'}, but {', '.join(names)} signed it.",
                hint="Ask its sender whose record it is.",
            )
    return record


def _declared(manifest: Manifest) -> dict[str, Any]:
    limits = manifest.limits
    return {
        "computation": {"name": manifest.name, "id": manifest.id, "manifest": manifest.digest().hex()},
        "limits": {
            "time": limits.time,
            "memory": limits.memory,
            "cpus": limits.cpus,
            "processes": limits.processes,
            "scratch": limits.scratch,
        },
        "assets": [
            {
                "name": asset.name,
                "kind": asset.kind,
                "provider": asset.provider,
                "size": asset.size,
                "unpacked_size": asset.unpacked_size,
            }
            for asset in manifest.assets()
        ],
        "results": {"max": manifest.results.max_size, "recipients": list(manifest.results.recipients)},
    }


def _usage(manifest: Manifest, events: Sequence[Event], verdict: Verdict, source: str, key: Key) -> dict[str, Any]:
    claims = verdict.claims
    progress = ComputationProgress()
    start = end = None
    for event in events:
        progress = progress.after(event)
        if event.kind is EventKind.RUN_STARTED:
            start = event.time
        elif start is not None and end is None and (event.kind is EventKind.RUN_FINISHED or progress.final):
            end = event.time
    return {
        "version": 1,
        **_declared(manifest),
        "machine": {
            "workspace": claims.boot_configuration.workspace,
            "cvm": claims.boot_configuration.cvm,
            "platform": verdict.platform,
            "confidential": verdict.confidential,
            "image": claims.image[1].hex() if claims.image else None,
        },
        "run": {"start": _minute(start), "end": _minute(end)},
        "outcome": progress.phase.value,
        "proof": {
            "source": source,
            "event_log_key": signingkey.key_id(claims.event_log_key),
            "events": len(events),
            "log_head": events[-1].digest().hex(),
        },
        "party": next(iter(manifest.names(key.public)), None),
    }


def _minute(moment: str | None) -> str | None:
    """The minute in which something happened, by the host's clock."""
    if moment is None:
        return None
    found = canonical.from_time(moment, what="An event's time").astimezone(datetime.UTC)
    return found.strftime("%Y-%m-%dT%H:%MZ")


def _other_manifest(manifest: Manifest, found: str) -> InputError:
    return InputError(
        f"This is about another manifest than yours (yours: {manifest.digest().hex()}, there: {found}).",
        hint="Name the manifest of this computation with --manifest.",
    )
