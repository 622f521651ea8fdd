"""The agent's process: ``python -m benchmarks.transfer.machine FOLDER``. It ends with its standard input."""

import json
import sys
from pathlib import Path

from benchmarks.transfer.world import OWNER
from cloister.client.files.keys import KeyType, generate_key
from tests.agent_fixture import GIB, running_agent


def main(folder: Path) -> None:
    """Serve, with the owner's key and a policy for this machine in ``folder``."""
    owner = generate_key(folder / f"{OWNER}.pem", KeyType.ED25519)
    said = sys.stdout
    sys.stdout = sys.stderr  # for the agent's log
    with running_agent(folder / "machine", (owner.id,), free_memory=lambda: 64 * GIB) as running:
        (folder / "policy.json").write_bytes(running.policy().encode())
        print(json.dumps({"address": str(running.address)}), file=said, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
