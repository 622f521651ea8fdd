"""The verb ``withdraw``."""

from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, MANIFEST, PARTY, YES
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(options=[*PARTY, MANIFEST, YES, JSON], example="withdraw --manifest computation.json")
def withdraw(settings: Settings) -> None:
    """Take your consent back: the computation ends, and everything of all parties is wiped."""
    with settings.connect(settings.manifest()) as machine:
        question = f"Withdraw your consent, and wipe everything of all parties at {machine.address}?"
        if not settings.agreed(question):
            return
        assets = machine.withdraw()
        if settings.json:
            show.facts({"done": "withdrawn", "address": str(machine.address), "assets": list(assets)})
            return
        print(f"Withdrawn: your consent to the use of {', '.join(assets)}.")
        print(f"The computation has ended, and everything of all parties at {machine.address} is wiped.")
