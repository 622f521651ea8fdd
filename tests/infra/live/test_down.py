"""``workspace.down`` in a cloud: keys remain until the workspace is removed."""

import json
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from infra import tasks
from infra.live import workspaces as stacks
from infra.live.workspaces import KEY
from infra.pulumi_cli import project as pulumi
from tests.infra.clouds import workspaces
from tests.infra.project import Project

pytestmark = pytest.mark.engine

MACHINE = "gcp:compute/instance:Instance"
KEYS = {"gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey"}


def in_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A workspace that is up, and that the verbs mean."""
    image = workspaces.manifest(tmp_path)
    made = workspaces.create(tmp_path, workspaces.value("gcp", image), image)
    made.pulumi("up", "--yes", "--skip-preview")
    monkeypatch.setattr(pulumi, "_environment", lambda: made.environment)
    monkeypatch.setattr(stacks, "PROJECT", pulumi.Project(made.folder, KEY, "workspace"))
    monkeypatch.setenv("CLOISTER_STATE", str(made.state))
    return made


def left(tmp_path: Path) -> set[str]:
    """The types of what is in the cloud, but the image."""
    world = json.loads((tmp_path / "world.json").read_text())
    return {thing["type"] for thing in world.values()} - {"gcp:compute/image:Image"}


@pytest.mark.rare
def test_keys_remain_unless_the_workspace_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    made = in_cloud(tmp_path, monkeypatch)

    # No agent answers at the addresses of the stand-in's machines, so that they stay.
    with pytest.raises(Exit):
        tasks.down.body(None, stack="lab", yes=True)
    assert MACHINE in left(tmp_path)

    made.environment["CLOISTER_FORCE"] = "1"
    capfd.readouterr()
    tasks.down.body(None, stack="lab", yes=True)
    last = capfd.readouterr().out.rstrip().rpartition("\n")[2]
    assert last == (
        "The workspace lab is down; its configuration and keys are kept. To remove them, too (not by pulumi stack rm): "
        "invoke workspace.down --remove --stack lab"
    )
    assert left(tmp_path) == KEYS
    assert stacks.cvms("lab") == ()
    assert {one["type"] for one in stacks.PROJECT.resources("lab")} > KEYS

    tasks.down.body(None, stack="lab", yes=True, remove=True)
    assert capfd.readouterr().out.endswith("The workspace lab is removed.\n")
    assert left(tmp_path) == KEYS
    assert "lab" not in stacks.PROJECT.names()


@pytest.mark.rare
def test_down_works_without_image_and_registry_and_still_asks_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    made = in_cloud(tmp_path, monkeypatch)
    for manifest in tmp_path.glob("????????.json"):
        manifest.unlink()
    (made.state / ".pulumi" / "stacks" / "cloister-registry" / "main.json").unlink()
    made.pulumi("config", "set", "--path", f"{KEY}.nonsense", "1")

    with pytest.raises(Exit):
        tasks.down.body(None, stack="lab", yes=True)
    assert "does not say whether a run is unfinished" in capfd.readouterr().out
    assert MACHINE in left(tmp_path)

    made.environment["CLOISTER_FORCE"] = "1"
    tasks.down.body(None, stack="lab", yes=True)
    assert left(tmp_path) == KEYS
