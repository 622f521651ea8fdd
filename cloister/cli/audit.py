"""The verb ``audit``."""

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["log"],
    options=[POLICY, *VENDORS, JSON],
    help={
        "log": "an event log as `events --save` writes it",
        "evidence": "evidence of the machine (default: LOG.evidence.json)",
    },
    example="audit events.jsonl --policy policy.json",
)
def audit(settings: Settings, log: str, evidence: str | None = None) -> None:
    """Verify a saved event log offline: what it proves, and what it does not."""
    found = settings.party.audit(log, evidence=evidence or None)
    if settings.json:
        show.facts(found.value())
    else:
        for claim in found.claims:
            print(claim.line())
        print(client.NOT_COVERED)
    found.require_accepted()
    if not settings.json:
        print(f"Proven: {log}, {len(found.events)} events")
