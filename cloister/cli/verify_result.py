"""The verb ``verify-result``."""

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["file"],
    options=[POLICY, *VENDORS, JSON],
    help={
        "file": "a result as `result` writes it",
        "approvals": "an event log of `events --save`, with the approvals of a result that was fetched before",
    },
    example="verify-result results.zip --policy policy.json",
)
def verify_result(settings: Settings, file: str, approvals: str | None = None) -> None:
    """Verify a result offline: which image, manifest, data and algorithm made it."""
    settings.policy()
    found = settings.party.verify(file, approvals=approvals or None)
    if settings.json:
        show.facts(found.value())
    else:
        for claim in found.claims:
            print(claim.line())
        if found.at_creation and found.today:
            today = client.rejection_today(found)
            print(f"At creation  {'accepted' if found.at_creation.accepted else 'REJECTED'} by your policy")
            print(f"Today        {'REJECTED by your policy: ' + today if today else 'accepted by your policy'}")
        for note in found.notes:
            print(f"Note         {note}")
    found.require_accepted()
    if not settings.json:
        print(f"Proven: {file}")
