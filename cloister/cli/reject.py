"""The verb ``reject``."""

from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, MANIFEST, PARTY, YES
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=[*PARTY, MANIFEST, YES, JSON], example="reject --manifest computation.json")
def reject(settings: Settings) -> None:
    """Reject a result that waits for your approval: no one receives it, and everything of all parties is wiped."""
    with settings.connect(settings.manifest()) as machine:
        question = f"Reject the result, and wipe everything of all parties at {machine.address}?"
        if not settings.agreed(question):
            return
        machine.reject()
        if settings.json:
            show.facts({"done": "rejected", "address": str(machine.address)})
            return
        print(f"Rejected: no one receives the result, and everything at {machine.address} is wiped.")
