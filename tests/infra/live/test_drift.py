"""Differences between a deployed workspace and its configuration, from the state and from the clouds."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.auth
import pytest
from google.oauth2.credentials import Credentials

from cloister.protocol.imagemanifest import ImageManifest
from infra import report
from infra.backends import rolling
from infra.backends.descriptor import boot_configurations
from infra.configuration.workspace import WorkspaceConfiguration, parse
from infra.live import cvms as machines
from infra.live import drift, unmanaged
from infra.live import workspaces as stacks
from infra.live.cvms import DeployedCvm
from infra.live.status import WorkspaceStatus
from infra.live.workspaces import KEY
from infra.provider.qemu import machine
from infra.pulumi_cli import project as pulumi
from infra.resources.types import LOCAL_CVM
from tests.infra.clouds import compute_api, workspaces
from tests.infra.conftest import Agents, Engine
from tests.infra.project import Project

IMAGE, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def configuration() -> WorkspaceConfiguration:
    member = {"name": "lab", "key": workspaces.key(), "roles": ["owner"]}
    cvms = [{"name": "trainer", "memory": "1GiB", "port": 6110}, {"name": "scorer", "memory": "1GiB"}]
    return parse("lab", {"backend": "local", "image": "base", "members": [member], "cvms": cvms})


def as_declared(configuration: WorkspaceConfiguration) -> dict[str, dict[str, Any]]:
    """What its machines say of themselves when all is well, by name."""
    return {
        boot.cvm: {
            "name": boot.cvm,
            "urn": f"urn:pulumi:lab::cloister::{LOCAL_CVM}::{boot.cvm}",
            "endpoint": "127.0.0.1:6110",
            "running": True,
            "image": IMAGE,
            "boot_configuration": boot.digest().hex(),
            "size": "2 vCPUs, 1024 MiB",
        }
        for boot in boot_configurations(configuration)
    }


def sentences(configuration: WorkspaceConfiguration, running: list[DeployedCvm]) -> list[str]:
    return [one.sentence() for one in drift.compare(configuration, IMAGE, running)]


def test_unchanged_workspace_has_no_differences(configuration: WorkspaceConfiguration):
    assert sentences(configuration, [DeployedCvm(**one) for one in as_declared(configuration).values()]) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": OTHER}, "trainer: image cdcdcdcdcdcdcdcd runs, abababababababab is declared."),
        ({"boot_configuration": OTHER}, "trainer: boot configuration cdcdcdcdcdcdcdcd runs, {boot} is declared."),
        ({"size": "8 vCPUs, 1024 MiB"}, "trainer: size 8 vCPUs, 1024 MiB runs, 2 vCPUs, 1024 MiB is declared."),
        ({"endpoint": "127.0.0.1:7000"}, "trainer: port 7000 runs, 6110 is declared."),
        ({"cpu": "max"}, "trainer: cpu max runs, the default is declared."),
        ({"running": False}, "trainer: the machine is stopped."),
        ({"name": "tester"}, "trainer: the CVM is declared but not deployed."),
    ],
)
def test_each_difference_of_a_cvm_is_a_sentence(
    configuration: WorkspaceConfiguration, change: dict[str, Any], sentence: str
):
    running = as_declared(configuration)
    boot = running["trainer"]["boot_configuration"][:16]
    running["trainer"] |= change
    said = sentences(configuration, [DeployedCvm(**one) for one in running.values()])
    assert said[0] == sentence.format(boot=boot)
    assert said[1:] == (["tester: the CVM is deployed but not declared."] if "name" in change else [])


def test_long_values_are_shortened_and_paths_may_contain_dots():
    inputs = {"tags": {"a.b": "x" * 500}, "rules": [{"from": "10.0.0.0/8"}]}
    step = {
        "op": "update",
        "urn": "urn:pulumi:lab::cloister::cloister:index:Workspace$azure-native:network:NetworkSecurityGroup::rules",
        "oldState": {"inputs": inputs, "outputs": inputs},
        "newState": {"inputs": {"tags": {"a.b": "y"}}},
        "detailedDiff": {'tags["a.b"]': {"kind": "update"}, "rules[0].from": {"kind": "delete"}},
    }
    assert [one.sentence() for one in drift.of_step(step)] == [
        f'rules: NetworkSecurityGroup tags["a.b"] {"x" * 160}... exists, y is declared.',
        "rules: NetworkSecurityGroup rules[0].from 10.0.0.0/8 is deployed but not declared.",
    ]
    for quiet in ("same", "refresh", "read"):
        assert list(drift.of_step(step | {"op": quiet})) == []


def test_a_machine_whose_tpm_ended_does_not_count_as_running(engine: Engine):
    state = engine.create(LOCAL_CVM, engine.inputs())
    resource = {"type": LOCAL_CVM, "urn": "urn:pulumi:lab::cloister::a::trainer", "outputs": state}
    assert [one.running for one in machines.from_state([resource])] == [True]
    (tpm,) = machine.running(engine.state / "lab" / "trainer", machine.TPM)
    tpm.end()
    assert [one.running for one in machines.from_state([resource])] == [False]
    engine.delete(LOCAL_CVM, state)


def open_to_all(world: dict[str, Any]) -> str:
    """Change the cloud by hand; returns the sentence that reports it."""
    for thing in world.values():
        if thing["type"] == "gcp:compute/firewall:Firewall" and thing["inputs"].get("allows"):
            thing["inputs"]["sourceRanges"].append("0.0.0.0/0")
            return "cloister-lab-allow-agent: Firewall sourceRanges[1] 0.0.0.0/0 is deployed but not declared."
        if thing["type"] == "azure-native:network:NetworkSecurityGroup":
            (rule,) = (one for one in thing["inputs"]["securityRules"] if one["name"] == "agents")
            rule["sourceAddressPrefixes"] = ["0.0.0.0/0"]
            path = "securityRules[0].sourceAddressPrefixes[0]"
            return f"rules: NetworkSecurityGroup {path} 0.0.0.0/0 exists, 198.51.100.0/24 is declared."
    raise AssertionError("There is nothing to open.")


@dataclass
class Cloud:
    """A workspace of two CVMs that is up, and a second image that was published."""

    backend: str
    project: Project
    other: Path

    def world(self, change: Callable[[dict[str, Any]], Any]) -> Any:
        path = self.project.folder.parent / "world.json"
        world = json.loads(path.read_text())
        found = change(world)
        path.write_text(json.dumps(world))
        return found

    def machine(self, world: dict[str, Any], name: str) -> str:
        kinds = ("azure-native:compute:VirtualMachine", "gcp:compute/instance:Instance")
        (identity,) = (one for one in world if world[one]["type"] in kinds and one.endswith(name))
        return identity

    def answers(self, name: str, endpoint: str) -> None:
        """The machine ``name`` says that its agent is at ``endpoint``."""

        def change(world: dict[str, Any]) -> None:
            inputs = world[self.machine(world, name)]["inputs"]
            inputs["tags" if self.backend == "azure" else "metadata"][rolling.ENDPOINT] = endpoint

        self.world(change)

    def drift(self) -> list[str]:
        differences, wrong = drift.found("lab", stacks.cvms("lab"))
        assert wrong == ""
        return [one.sentence() for one in differences]


@pytest.fixture(params=["azure", "gcp"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    image, other = workspaces.manifest(tmp_path), workspaces.manifest(tmp_path, source="11")
    made = workspaces.create(tmp_path, workspaces.value(request.param, image), image, other)
    made.pulumi("up", "--yes", "--skip-preview")
    monkeypatch.setattr(pulumi, "_environment", lambda: made.environment)
    monkeypatch.setattr(stacks, "PROJECT", pulumi.Project(made.folder, KEY, "workspace"))
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="token"), ""))
    with compute_api.serving(compute_api.world_in(made.folder.parent / "world.json")) as address:
        monkeypatch.setattr(unmanaged, "ADDRESS", address)
        yield Cloud(request.param, made, other)


def add_a_rule(world: dict[str, Any]) -> list[str]:
    """Add a rule by hand. In Google Cloud it is a separate resource, which Pulumi does not see."""
    for identity, thing in list(world.items()):
        if thing["type"] == compute_api.FIREWALL and thing["inputs"].get("allows"):
            world[f"{identity}-too"] = {**thing, "inputs": {**thing["inputs"], "name": "allow-ssh"}}
            return ["allow-ssh: the Firewall is deployed but not declared."]
    return []


@pytest.mark.rare
@pytest.mark.engine
def test_manual_changes_are_found_and_idle_machines_are_replaced(cloud: Cloud, agents: Agents):
    assert cloud.drift() == []
    before = (cloud.project.folder.parent / "world.json").read_text()
    assert cloud.world(add_a_rule) == cloud.drift()
    (cloud.project.folder.parent / "world.json").write_text(before)
    sentence = cloud.world(open_to_all)
    cloud.world(lambda world: world.pop(cloud.machine(world, "scorer")))
    kind = "VirtualMachine" if cloud.backend == "azure" else "Instance"
    assert cloud.drift() == [sentence, f"scorer: the {kind} is declared but not deployed."]

    # The hook asks only machines that exist, already in the preview.
    image, made = f"{KEY}.image", cloud.project
    made.pulumi("config", "set", "--path", image, str(cloud.other))
    cloud.answers("trainer", agents(unfinished=True))
    assert "Cannot delete the CVM 'trainer': its run is unfinished." in made.pulumi("preview", good=False)

    cloud.answers("trainer", agents(unfinished=False))
    said = made.pulumi("up", "--yes", "--skip-preview", "--json")
    replaced = [(one, "trainer") for one in ("delete-replaced", "replace", "create-replacement")]
    assert made.steps(said) == [*replaced, ("create", "scorer")]
    digest = ImageManifest.parse(cloud.other.read_bytes()).digest().hex()
    assert [one.image for one in stacks.cvms("lab")] == [digest, digest]
    assert cloud.drift() == []


def test_cvms_are_compared_even_if_the_cloud_cannot_be_queried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    manifest = workspaces.manifest(tmp_path)

    def refuse(name: str) -> list[drift.Difference]:
        raise pulumi.StackError(f"{name}: not logged in.")

    monkeypatch.setattr(pulumi.Project, "configuration", lambda self, name: workspaces.value("gcp", manifest))
    monkeypatch.setattr(drift, "preview", refuse)
    differences, wrong = drift.found("lab", [])
    assert [one.sentence() for one in differences] == [
        "trainer: the CVM is declared but not deployed.",
        "scorer: the CVM is declared but not deployed.",
    ]
    assert wrong == "lab: not logged in."


@pytest.mark.parametrize(
    ("image", "said"), [("absent", "The image 'absent' does not exist."), (7, "must be a non-empty string, not 7.")]
)
def test_reason_for_a_missing_comparison_is_reported(monkeypatch: pytest.MonkeyPatch, image: object, said: str):
    value = workspaces.value("gcp", Path()) | {"image": image}
    monkeypatch.setattr(pulumi.Project, "configuration", lambda self, name: value)
    differences, wrong = drift.found("lab", [])
    assert differences == []
    assert said in wrong


def test_status_has_text_and_json(capsys: pytest.CaptureFixture[str]):
    running = DeployedCvm("trainer", "urn", "", None, IMAGE, OTHER, "n2d-standard-4")
    difference = drift.Difference("trainer", "image", IMAGE, OTHER)
    report.status(WorkspaceStatus("lab", [running], [difference], ""), as_json=False)
    said = capsys.readouterr().out
    assert "deployed" in said
    assert f"{difference.sentence()}\nTo correct this: invoke workspace.up --stack lab" in said
    stray = drift.Difference("allow-ssh", "Firewall", "allow-ssh", "", ours=False)
    report.status(WorkspaceStatus("lab", [running], [stray], ""), as_json=False)
    said = capsys.readouterr().out
    assert (
        "allow-ssh: the Firewall is deployed but not declared.\nCloister does not manage these resources (Firewall);"
        in said
    )
    assert "workspace.up" not in said
    assert "matches the configuration" not in said
    report.status(WorkspaceStatus("lab", [running], [], "The image is not here."), as_json=False)
    assert "The comparison with the configuration is incomplete: The image is not here." in capsys.readouterr().out
    report.status(WorkspaceStatus("lab", [running], [difference], ""), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [one["sentence"] for one in told["drift"]] == [difference.sentence()]
    assert told["cvms"][0]["agent"] == "-"
