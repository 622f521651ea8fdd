"""Invalid inputs, missing images, secrets and signed images, with the real engine and SDKs and stand-ins for clouds."""

import json
from pathlib import Path

import pytest

from tests.infra.clouds import project as projects
from tests.infra.clouds import workspaces

pytestmark = pytest.mark.engine

PROGRAMS = {
    "azure": """
import pulumi
import pulumi_azure_native as azure_native
place = azure_native.Provider("azure", subscription_id="s")
azure_native.compute.VirtualMachine(
    "trainer",
    resource_group_name="lab",
    security_profile=azure_native.compute.SecurityProfileArgs(security_type="ConfidentialVM"),
    hardware_profile={"vm_size": "Standard_DC4as_v5", "size": "large"},
    opts=pulumi.ResourceOptions(provider=place),
)
""",
    "gcp": """
import pulumi
import pulumi_gcp as gcp
place = gcp.Provider("gcp", project="my-project")
gcp.compute.Firewall(
    "agents", network="lab", direction="INGRESS", priority="high", opts=pulumi.ResourceOptions(provider=place)
)
""",
}
SENTENCES = {
    "azure": "hardwareProfile.size: unknown property 'size'; expected one of vmSize, vmSizeProperties.",
    "gcp": "priority: 'high' is not of type integer.",
}


@pytest.mark.parametrize("backend", ["azure", "gcp"])
def test_invalid_sdk_input_fails_the_preview(tmp_path: Path, backend: str):
    made = projects.create(tmp_path, "lab", {})
    (made.folder / "__main__.py").write_text(PROGRAMS[backend])
    said = made.pulumi("preview", good=False)
    assert SENTENCES[backend] in said
    assert "Traceback" not in said


@pytest.mark.parametrize("backend", ["azure", "gcp"])
def test_unpublished_image_is_reported_without_traceback(tmp_path: Path, backend: str):
    image = workspaces.manifest(tmp_path)
    made = workspaces.create(tmp_path, workspaces.value(backend, image))
    said = made.pulumi("preview", good=False)
    assert f"The registry {workspaces.REGISTRY} does not hold the image" in said
    assert "Traceback" not in said


SECRETS = {
    "azure": """
import pulumi
import pulumi_azure_native as azure_native
place = pulumi.ResourceOptions(provider=azure_native.Provider("azure", subscription_id="s", location="westeurope"))
note = pulumi.Output.secret("not-for-the-state")
group = azure_native.resources.ResourceGroup("lab", tags={"note": note}, opts=place)
pulumi.export("note", group.tags)
""",
    "gcp": """
import pulumi
import pulumi_gcp as gcp
place = pulumi.ResourceOptions(provider=gcp.Provider("gcp", project="my-project"))
note = pulumi.Output.secret("not-for-the-state")
account = gcp.serviceaccount.Account("lab", account_id="cloister", description=note, opts=place)
pulumi.export("note", account.description)
""",
}


@pytest.mark.parametrize("backend", ["azure", "gcp"])
def test_secret_reaches_the_cloud_but_not_the_state(tmp_path: Path, backend: str):
    made = projects.create(tmp_path, "lab", {})
    (made.folder / "__main__.py").write_text(SECRETS[backend])
    made.pulumi("up", "--yes", "--skip-preview")
    assert "not-for-the-state" in (tmp_path / "world.json").read_text()
    files = [path for path in made.state.rglob("*") if path.is_file()]
    assert [path for path in files if b"not-for-the-state" in path.read_bytes()] == []


def test_workspaces_key_encrypts_the_disk_of_a_signed_image(tmp_path: Path):
    """Like Azure, the stand-in refuses the machines without the key, the role on it or secure boot."""
    image = workspaces.manifest(tmp_path, signed=True)
    value = workspaces.value("azure", image)
    value["azure"] = value["azure"] | {"orchestrator": "12345678-1234-4234-8234-123456789abc"}
    made = workspaces.create(tmp_path, value, image)
    made.pulumi("up", "--yes", "--skip-preview")
    things = json.loads((tmp_path / "world.json").read_text())
    machines = [one["inputs"] for one in things.values() if one["type"].endswith(":VirtualMachine")]
    sets = [identity for identity, one in things.items() if one["type"].endswith(":DiskEncryptionSet")]
    assert [one["securityProfile"]["uefiSettings"]["secureBootEnabled"] for one in machines] == [True, True]
    for machine in machines:
        security = machine["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"]
        wanted = {"securityEncryptionType": "DiskWithVMGuestState", "diskEncryptionSet": {"id": sets[0]}}
        assert security == wanted
