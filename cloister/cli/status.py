"""The verb ``status``."""

from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=[*PARTY, JSON], example="status --key me.pem --policy policy.json --workspace workspace.json")
def status(settings: Settings) -> None:
    """Show the state of the computation: what has arrived, what is missing, who has fetched the result."""
    with settings.connect() as machine:
        found = machine.status()
    if settings.json:
        show.facts(found.value())
        return
    for line in found.lines():
        print(line)
