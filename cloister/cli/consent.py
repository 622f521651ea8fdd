"""The verb ``consent``."""

from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    required=["rule"],
    interrupted="Run the same command again: the upload resumes.",
    options=[*PARTY, MANIFEST, JSON],
    help={"rule": "your standing rule, as `rule` writes it"},
    example="consent --rule rule.yaml --manifest tonight.json",
)
def consent(settings: Settings, rule: str) -> None:
    """Upload your datasets with your consent, without a question, if your standing rule permits the computation."""
    from cloister.cli.shell.reports import UploadPrinter

    manifest = settings.manifest()
    printer = UploadPrinter(json=settings.json)
    with printer.interruptible(), settings.connect(manifest) as machine:
        uploads = machine.consent(rule, report=printer)
    printer.finish(manifest, uploads)
