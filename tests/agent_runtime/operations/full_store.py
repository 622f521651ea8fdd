"""An upload to an agent whose store is too small: run in a mount namespace, prints one line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

from cloister.client.connection.refusal import Refusal
from tests.agent_fixture import running_agent
from tests.agent_runtime.world import World, new_key

SIZE = 3 << 20


def main() -> None:
    """Fill the store, make room, and upload the rest."""
    folder = Path(sys.argv[1])
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    with running_agent(folder, (keys["owner"].id,)) as running:
        # What a manifest needs was free when it was submitted; then the store shrinks.
        world = World(running, keys, {"algorithm": bytes(SIZE), "h1": b""})
        world.submit()
        store = running.config.store
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", store], check=True)
        said = {}
        try:
            world.upload("lab", "algorithm")
        except Refusal as error:
            said = {"reason": error.reason, "message": error.message}
        with world.session("owner") as session:
            said["notices"] = [*session.status().notices]
        with world.session("lab") as session:
            said["offset"] = session.upload_offset("algorithm").offset
        subprocess.run(["mount", "-o", "remount,size=8m", store], check=True)
        said["complete"] = world.upload("lab", "algorithm", offset=said["offset"]).complete
    print(json.dumps(said))


if __name__ == "__main__":
    main()
