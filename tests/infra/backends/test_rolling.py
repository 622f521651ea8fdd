"""Machines are replaced one after the other, and none of them while its run is unfinished."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloister.protocol.imagemanifest import ImageManifest
from infra.backends import rolling
from infra.live import drift, workspaces
from infra.live.workspaces import KEY
from infra.provider.errors import ProviderError
from infra.provider.qemu import ports
from infra.pulumi_cli import project as pulumi
from tests.infra.conftest import Agents
from tests.infra.project import STACK, Project


def states(endpoint: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Inputs and outputs of a machine with ``endpoint``, for each backend."""
    return [
        ({}, {"endpoint": endpoint}),
        ({"tags": {rolling.ENDPOINT: endpoint}}, {}),
        ({"metadata": {rolling.ENDPOINT: endpoint}}, {}),
    ]


def test_machine_with_an_unfinished_run_cannot_be_deleted(agents: Agents):
    for inputs, outputs in states(agents(unfinished=False)):
        rolling.refuse_unfinished("trainer", inputs, outputs)
    for inputs, outputs in states(agents(unfinished=True)):
        with pytest.raises(ProviderError, match=r"Cannot delete the CVM 'trainer': its run is unfinished\."):
            rolling.refuse_unfinished("trainer", inputs, outputs)


def test_machine_whose_agent_does_not_answer_cannot_be_deleted(agents: Agents):
    for inputs, outputs in [*states(f"127.0.0.1:{ports.free()}"), ({}, {})]:
        with pytest.raises(ProviderError, match=r"Cannot delete the CVM 'trainer': its") as caught:
            rolling.refuse_unfinished("trainer", inputs, outputs)
        assert "CLOISTER_FORCE=1" in caught.value.hint


@pytest.mark.parametrize("outputs", [{"status": "stopped"}, {"currentStatus": "TERMINATED"}])
def test_stopped_machine_can_be_deleted(agents: Agents, outputs: dict[str, Any]):
    endpoint = f"127.0.0.1:{ports.free()}"
    rolling.refuse_unfinished("trainer", {"metadata": {rolling.ENDPOINT: endpoint}}, {"endpoint": endpoint} | outputs)


def another(image: Path) -> Path:
    """The manifest of another image with the same disk."""
    made = json.loads(image.read_bytes())
    made["inputs"]["recipe"] = "11" * 32
    path = image.with_name("another.json")
    path.write_text(json.dumps(made))
    return path


@pytest.mark.rare
@pytest.mark.engine
def test_new_image_replaces_machines_one_by_one_and_stops_at_an_unfinished_run(
    project: Project, image: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pulumi, "_environment", lambda: project.environment)
    monkeypatch.setenv("CLOISTER_STATE", str(project.state))
    monkeypatch.setattr(workspaces, "PROJECT", pulumi.Project(project.folder, KEY, "workspace"))
    project.pulumi("config", "set", "--path", f"{KEY}.cvms[1].name", "scorer")
    project.pulumi("config", "set", "--path", f"{KEY}.cvms[1].memory", "1GiB")
    project.environment["STANDIN_SCORER"] = "unfinished"
    assert project.steps(project.up(create=5)) == [("create", "trainer"), ("create", "scorer")]
    assert drift.found(STACK, workspaces.cvms(STACK)) == ([], "")

    old, new = ImageManifest.parse(image.read_bytes()), another(image)
    project.pulumi("config", "set", "--path", f"{KEY}.image", str(new))
    wanted = ImageManifest.parse(new.read_bytes()).digest().hex()
    differences, _ = drift.found(STACK, workspaces.cvms(STACK))
    assert [one.sentence() for one in differences] == [
        f"{cvm}: image {old.digest().hex()[:16]} runs, {wanted[:16]} is declared." for cvm in ("trainer", "scorer")
    ]

    # The preview asks every machine, so that nothing is left half done.
    assert "its run is unfinished" in project.pulumi("up", "--yes", good=False)
    assert {machine.image for machine in workspaces.cvms(STACK)} == {old.digest().hex()}

    project.environment["CLOISTER_FORCE"] = "1"
    replaced = ("delete-replaced", "replace", "create-replacement")
    assert project.steps(project.up(replace=2, same=3)) == [
        (operation, cvm) for cvm in ("trainer", "scorer") for operation in replaced
    ]
    assert {machine.image for machine in workspaces.cvms(STACK)} == {wanted}

    # Removing a machine from the configuration deletes it, too; so does destroying the workspace.
    del project.environment["CLOISTER_FORCE"]
    project.pulumi("config", "rm", "--path", f"{KEY}.cvms[1]")
    refusal = "Cannot delete the CVM 'scorer': its run is unfinished."
    assert refusal in project.pulumi("preview", good=False)
    assert refusal in project.pulumi("destroy", "--yes", "--skip-preview", good=False)
    assert [machine.running for machine in workspaces.cvms(STACK)] == [True, True]
    project.environment["CLOISTER_FORCE"] = "1"
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert project.nothing_is_left()
