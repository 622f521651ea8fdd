"""The verb ``stop``."""

from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, PARTY, YES
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=[*PARTY, YES, JSON], example="stop")
def stop(settings: Settings) -> None:
    """Stop the computation for good; everything that was uploaded is wiped."""
    with settings.connect() as machine:
        if not settings.agreed(f"Stop the computation at {machine.address}, and wipe what was uploaded?"):
            return
        machine.stop()
        if settings.json:
            show.facts({"done": "stopped", "address": str(machine.address)})
            return
        print(f"Stopped: the computation at {machine.address}. `{program()} reset` prepares for another one.")
