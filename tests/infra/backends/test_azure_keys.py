"""A workspace's own key in Azure, with the real engine: when it is created, what it encrypts, and that it is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.live import workspaces as stack
from tests.infra.clouds import workspaces
from tests.infra.project import Project

pytestmark = pytest.mark.engine

ORCHESTRATOR = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


def configure(project: Project, value: dict[str, Any]) -> None:
    path = project.folder / f"Pulumi.{project.stack}.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["config"][stack.KEY] = value
    path.write_text(yaml.safe_dump(settings))


def existing(folder: Path, kind: str) -> dict[str, Any]:
    """The resources of one type in the cloud, by id."""
    things = json.loads((folder / "world.json").read_text())
    return {identity: one["inputs"] for identity, one in things.items() if one["type"] == f"azure-native:{kind}"}


@pytest.mark.rare
def test_key_is_created_for_a_signed_image_and_outlives_the_machines(tmp_path: Path):
    plain, image = workspaces.manifest(tmp_path), workspaces.manifest(tmp_path, signed=True)
    value = workspaces.value("azure", plain)
    project = workspaces.create(tmp_path, value, plain, image)
    # No agent answers here; other tests cover the check before deletion.
    project.environment["CLOISTER_FORCE"] = "1"
    project.pulumi("up", "--yes", "--skip-preview")
    assert existing(tmp_path, "keyvault:Vault") == {}

    value |= {"image": str(image), "azure": value["azure"] | {"orchestrator": ORCHESTRATOR}}
    configure(project, value)
    said = project.pulumi("up", "--yes", "--skip-preview", "--json")
    machines = existing(tmp_path, "compute:VirtualMachine")
    # Each machine is deleted before it is created again, the second one after the first.
    names = [cvm["name"] for cvm in value["cvms"]]
    taken = [step for step in project.steps(said) if step[0] in ("delete-replaced", "create-replacement")]
    assert taken == [(op, name) for name in names for op in ("delete-replaced", "create-replacement")]
    sets = list(existing(tmp_path, "compute:DiskEncryptionSet"))
    used = [one["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"] for one in machines.values()]
    encrypted = {"securityEncryptionType": "DiskWithVMGuestState", "diskEncryptionSet": {"id": sets[0]}}
    assert used == [encrypted, encrypted]
    kept = {kind: existing(tmp_path, kind) for kind in ("keyvault:Vault", "keyvault:Key")}
    assert [len(found) for found in kept.values()] == [1, 1]

    project.pulumi("destroy", "--yes", "--skip-preview", "--exclude-protected")
    assert existing(tmp_path, "compute:VirtualMachine") == existing(tmp_path, "compute:DiskEncryptionSet") == {}
    assert {kind: existing(tmp_path, kind) for kind in kept} == kept

    # A new label is set on everything except the key, which Azure does not update.
    configure(project, value | {"labels": {"cost-centre": "4712"}})
    project.pulumi("up", "--yes", "--skip-preview")
    assert existing(tmp_path, "keyvault:Key") == kept["keyvault:Key"]
    (vault,) = existing(tmp_path, "keyvault:Vault").values()
    assert vault["tags"]["cost-centre"] == "4712"
    assert len(existing(tmp_path, "compute:VirtualMachine")) == 2
