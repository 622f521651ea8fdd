"""The verb ``stop``."""

from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=PARTY)
def stop(settings: Settings) -> None:
    """Stop the computation for good; everything that was uploaded is wiped."""
    with settings.connect() as machine:
        machine.stop()
        print(f"Stopped: the computation at {machine.address}. `{program()} reset` prepares for another one.")
