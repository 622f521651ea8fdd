"""The verb ``metrics``."""

import json

from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, PARTY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import text


@party_verb(
    options=[*PARTY, JSON],
    help={"log": "show the agent's own log instead, one JSON object for each line"},
    example="metrics --log",
)
def metrics(settings: Settings, log: bool = False) -> None:
    """Show the agent's counters as OpenMetrics, or its log, to an owner."""
    with settings.connect() as machine:
        found = machine.metrics(log=log)
    if settings.json:
        show.facts(found.value())
    elif log:
        for line in found.log:
            print(text.printable(json.dumps(line)))
    else:
        print(found.text, end="")
