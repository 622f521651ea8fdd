"""The verb ``consent``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    required=["rule"],
    interrupted="Run the same command again: the upload resumes.",
    options=[*PARTY, MANIFEST, JSON],
    help={"rule": "your standing rule, as `rule` writes it"},
)
def consent(settings: Settings, rule: str) -> None:
    """Upload your datasets with your consent, without a question, if your standing rule permits the computation."""
    from cloister.cli.shell.reports import UploadPrinter

    manifest, policy = settings.manifest(), settings.policy()
    standing = client.StandingRule.load(Path(rule))
    printer = UploadPrinter(json=settings.json)
    with printer.interruptible(), settings.connection(manifest) as connection:
        uploads = client.consent_by_rule(connection, manifest, standing, policy, report=printer)
    printer.finish(manifest, uploads)
