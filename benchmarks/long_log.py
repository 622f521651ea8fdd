"""An agent with a long event log: ``python -m benchmarks.long_log FOLDER EVENTS``. It ends with its standard input."""

import json
import sys
from pathlib import Path

from cloister.protocol.events import EventKind
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties


def main(folder: Path, events: int) -> None:
    """Serve a computation whose log has so many events, with the parties' files in ``folder``."""
    parties = Parties.make(folder)
    said = sys.stdout
    sys.stdout = sys.stderr  # for the agent's log
    with running_agent(folder / "machine", (parties.keys["lab"].id,)) as running:
        Machine.of(running, parties).submit()
        for number in range(events):
            detail = {"asset": f"h{number % 2 + 1}"}
            actor = parties.keys[f"hospital-{number % 2 + 1}"].id
            running.agent.computation.lifecycle.append(EventKind.CONSENT, actor=actor, detail=detail)
        print(json.dumps({"workspace": str(folder / "workspace.json")}), file=said, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
