"""The verb ``report``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["file"],
    options=[POLICY, *VENDORS, JSON],
    help={"file": "a result as `result` writes it", "output": "file of the page (default: report.html)"},
)
def report(settings: Settings, file: str, output: str = "report.html") -> None:
    """Verify a result offline, and write what it proves as one page for a browser or a printer."""
    found = client.write_report(Path(file), settings.policy(), Path(output), collateral=settings.collateral())
    if settings.json:
        show.facts(found.value() | {"report": output})
    else:
        print(f"Written: {output}")
    found.require_accepted()
    if not settings.json:
        print(f"Proven: {file}")
