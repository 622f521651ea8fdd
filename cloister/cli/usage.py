"""The verb ``usage``."""

from pathlib import Path
from typing import TYPE_CHECKING

from cloister import client, userfile
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, KEY, MANIFEST, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb

if TYPE_CHECKING:
    from cloister.client.usage.record import UsageRecord
    from cloister.protocol.manifest import Manifest


@party_verb(
    positional=["file"],
    options=[
        KEY,
        POLICY,
        *VENDORS,
        MANIFEST.described(f"{MANIFEST.help}; an event log needs it"),
        JSON.described("print the signed record"),
    ],
    help={
        "file": "a result, or an event log of `events --save`; with --check a record",
        "output": "write the signed record, JSON, to this file",
        "csv": "write the same as a table to this file; the table is not signed",
        "check": "verify a record of another party, and compare it with --manifest",
    },
    example="usage results.zip --output usage.json --csv usage.csv",
)
def usage(
    settings: Settings, file: str, output: str | None = None, csv: str | None = None, check: bool = False
) -> None:
    """Make a signed record of what a computation was allowed to use, how large its assets were, and when it ran.

    Nothing in it was measured inside of the run: limits and sizes are the manifest's, the minutes the events'.
    """
    manifest = settings.manifest() if settings.path("manifest") else None
    if check:
        record = client.check_usage(Path(file), manifest)
    else:
        record = client.record_usage(
            Path(file), settings.key(), settings.policy(), manifest=manifest, collateral=settings.collateral()
        )
    if output:
        userfile.write_file(Path(output), record.encode() + b"\n")
    if csv:
        userfile.write_file(Path(csv), client.usage_table(record))
    if settings.json:
        show.facts(record.value())
        return
    _print(record, manifest)
    for written in filter(None, (output, csv)):
        print(f"Written      {written}")


def _print(record: "UsageRecord", manifest: "Manifest | None") -> None:
    said = record.usage
    machine, run = said["machine"], said["run"]
    print(f"Computation  {said['computation']['name']}, {said['computation']['manifest']}")
    print(f"Machine      {machine['cvm']} of the workspace {machine['workspace']}, {machine['platform']}")
    print(f"Run          from {run['start'] or '-'} to {run['end'] or '-'} by the host's clock; {said['outcome']}")
    for item, party, amount, unit in client.usage_items(record):
        print(f"  {item:<28} {amount:>16} {unit:<9} {party}")
    if manifest is None:
        claimed = said["party"] or "no party"
        print(f"Signed by    {record.key_id}, which says that it is {claimed}: compare the fingerprint")
    else:
        print(f"Signed by    {', '.join(manifest.names(record.key)) or 'no party of the manifest'}, {record.key_id}")
