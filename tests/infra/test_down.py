"""How a workspace in a cloud ends: its keys stay until they are given up, and then the state holds nothing."""

import json
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from infra import project as pulumi
from infra import stack as stacks
from infra import tasks
from infra.stack import KEY
from tests.infra.clouds import workspaces

KEYS = {"gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey"}


def test_the_keys_of_a_workspace_stay_unless_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    image = workspaces.manifest(tmp_path)
    made = workspaces.create(tmp_path, workspaces.value("gcp", image), image)
    made.pulumi("up", "--yes", "--skip-preview")
    monkeypatch.setattr(pulumi, "_environment", lambda: made.environment)
    monkeypatch.setattr(stacks, "PROJECT", pulumi.Project(made.folder, KEY, "workspace"))
    monkeypatch.setenv("CLOISTER_STATE", str(made.state))

    def left() -> set[str]:
        world = json.loads((tmp_path / "world.json").read_text())
        return {thing["type"] for thing in world.values()} - {"gcp:compute/image:Image"}

    # Nobody answers at the addresses of the stand-in's machines, and so they stay.
    with pytest.raises(Exit):
        tasks.down.body(None, stack="lab", yes=True)
    assert "gcp:compute/instance:Instance" in left()

    made.environment["CLOISTER_FORCE"] = "1"
    tasks.down.body(None, stack="lab", yes=True)
    assert left() == KEYS
    assert stacks.machines("lab") == ()
    assert {one["type"] for one in stacks.PROJECT.resources("lab")} > KEYS

    tasks.down.body(None, stack="lab", yes=True, remove=True)
    assert left() == KEYS
    assert "lab" not in stacks.names()
