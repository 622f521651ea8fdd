"""The verb ``start``."""

from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=[*PARTY, JSON], example="start")
def start(settings: Settings) -> None:
    """Start a run that `run --hold` submitted, once all assets have arrived."""
    with settings.connect() as machine:
        machine.start()
        if settings.json:
            show.facts({"done": "started", "address": str(machine.address)})
            return
        print(f"Started: the run at {machine.address}. `{program()} events --follow` shows what happens.")
