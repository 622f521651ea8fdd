"""The verb ``report``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, MANIFEST, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["file"],
    options=[
        POLICY,
        MANIFEST.described(
            "your copy of the manifest, for the names in a log, which has only its digest (default: $CLOISTER_MANIFEST)"
        ),
        *VENDORS,
        JSON,
    ],
    help={
        "file": "a result as `result` writes it, or an event log as `events --save` writes it",
        "output": "file of the page (default: report.html)",
    },
    example="report results.zip --policy policy.json",
)
def report(settings: Settings, file: str, output: str = "report.html") -> None:
    """Verify a result or an event log offline, and write what it proves as one page for a browser or a printer."""
    found = client.write_report(
        Path(file),
        settings.policy(),
        Path(output),
        manifest=settings.manifest() if settings.path("manifest") else None,
        collateral=settings.collateral(),
    )
    if settings.json:
        show.facts(found.value() | {"report": output})
    else:
        print(f"Written: {output}")
    found.require_accepted()
    if not settings.json:
        print(f"Proven: {file}")
