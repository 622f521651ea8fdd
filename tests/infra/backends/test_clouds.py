"""Workspaces in Azure and Google Cloud, with the real engine, program and SDKs, and stand-ins for the clouds."""

import base64
import copy
import datetime
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import Descriptor
from infra.configuration import budget, workspace
from infra.configuration.validation import ConfigurationError
from infra.live import workspaces as stack
from infra.reach import graph
from infra.resources.resource import from_state
from tests.infra.clouds import schema, workspaces
from tests.infra.project import Project

pytestmark = pytest.mark.engine

Value = dict[str, Any]

_REPLACES = ("replace", "create-replacement", "delete-replaced")
_QUIET = ("same", "read", "refresh", "read-replacement")
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
"""Marks a secret in a state (pulumi/sdk, resource/properties.go)."""

CANARY = "a-credential-of-the-person-at-the-keyboard"
CREDENTIALS = ("ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET", "GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN")
MACHINE = {"azure": "VirtualMachine", "gcp": "Instance"}
PLATFORMS = {"azure": ["azure-snp", "azure-tdx"], "gcp": ["gcp-snp", "gcp-tdx"]}


@dataclass
class Cloud:
    """A workspace that is up. ``value`` is its configuration, ``other`` the manifest of another published image."""

    backend: str
    project: Project
    value: Value
    other: Path

    @property
    def world(self) -> Path:
        return self.project.folder.parent / "world.json"

    def configure(self, value: Value) -> None:
        path = self.project.folder / f"Pulumi.{self.project.stack}.yaml"
        settings = yaml.safe_load(path.read_text())
        settings["config"][stack.KEY] = value
        path.write_text(yaml.safe_dump(settings))

    def preview(self) -> dict[str, str]:
        """The operation of an `up` on each resource that it would change."""
        found: dict[str, str] = {}
        for step in json.loads(self.project.pulumi("preview", "--json"))["steps"]:
            kind, name = step["urn"].split("::")[-2:]
            op = "replace" if step["op"] in _REPLACES else step["op"]
            if op not in _QUIET:
                found[f"{kind.rpartition(':')[2]} {name}"] = op
        return found

    def resources(self) -> list[dict[str, Any]]:
        return json.loads(self.project.pulumi("stack", "export"))["deployment"]["resources"]

    def descriptor(self) -> Descriptor:
        return Descriptor.from_value(json.loads(self.project.pulumi("stack", "output", "--json"))["descriptor"])

    def things(self) -> dict[str, Any]:
        """The resources in the cloud, by id."""
        return json.loads(self.world.read_text())

    def machines(self) -> dict[str, Value]:
        """The inputs of the machines in the cloud, by the names of the CVMs."""
        found = [one for one in self.things().values() if one["type"].endswith(f":{MACHINE[self.backend]}")]
        return {boot_of(one["inputs"]).cvm: one["inputs"] for one in found}


def boot_of(machine: Value) -> BootConfiguration:
    """The boot configuration, parsed as the guest does."""
    if "userData" in machine:
        return BootConfiguration.parse(base64.b64decode(machine["userData"], validate=True))
    return BootConfiguration.parse(machine["metadata"]["cloister-boot-configuration"].encode())


@pytest.fixture(scope="module", params=["azure", "gcp"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    backend = request.param
    folder = tmp_path_factory.mktemp(backend)
    image, other = workspaces.manifest(folder), workspaces.manifest(folder, source="11")
    value = workspaces.value(backend, image)
    project = workspaces.create(folder, value, image, other)
    # No agent answers here; other tests cover the check before deletion.
    project.environment |= {"CLOISTER_FORCE": "1", **dict.fromkeys(CREDENTIALS, CANARY)}
    project.pulumi("up", "--yes", "--skip-preview")
    yield Cloud(backend, project, value, other)


def test_second_up_changes_nothing_in_the_cloud(cloud: Cloud):
    """A new member who is not an owner changes only the descriptor."""
    value = copy.deepcopy(cloud.value)
    value["members"].append({"name": "clinic", "key": workspaces.key(), "roles": ["dataset-provider"]})
    cloud.configure(value)
    said = cloud.project.pulumi("up", "--yes", "--skip-preview", "--json")
    summary = [json.loads(line) for line in said.splitlines() if "resourceChanges" in line][-1]
    assert set(summary["summaryEvent"]["resourceChanges"]) == {"same"}
    assert [member.name for member in cloud.descriptor().members] == ["lab", "clinic"]


def test_existing_budget_keeps_an_old_start(cloud: Cloud):
    configured = workspace.parse("lab", cloud.value)
    budget.check(configured, cloud.resources(), datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC))
    if cloud.backend == "azure":
        with pytest.raises(ConfigurationError, match=r"workspace\.budget\.start"):
            budget.check(configured, (), datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC))


def test_descriptor_matches_the_cloud(cloud: Cloud):
    found = cloud.descriptor()
    machines = cloud.machines()
    assert [(cvm.name, cvm.platform) for cvm in found.cvms] == list(
        zip(("trainer", "scorer"), PLATFORMS[cloud.backend], strict=True)
    )
    assert {cvm.name: cvm.boot_configuration for cvm in found.cvms} == {
        name: boot_of(machine) for name, machine in machines.items()
    }
    assert found.authority is None
    assert all(cvm.endpoint.startswith("10.99.0.") for cvm in found.cvms)


def test_reach_is_computed_from_the_state(cloud: Cloud):
    platform = {"azure": "host, metadata", "gcp": "metadata, names"}[cloud.backend]
    assert graph.build(cloud.backend, from_state(cloud.resources())).sentences() == [
        "a joined network -> scorer:6110 from 198.51.100.0/24 (none joined)",
        "a joined network -> trainer:6110 from 198.51.100.0/24 (none joined)",
        f"scorer -> the platform: {platform}",
        f"trainer -> the platform: {platform}",
        "scorer -> nothing else",
        "trainer -> nothing else",
        "the internet -> nothing",
        "other workspaces -> nothing",
    ]


def test_boot_configuration_arrives_byte_for_byte(cloud: Cloud):
    owner = hashlib.sha256(base64.b64decode(cloud.value["members"][0]["key"])).hexdigest()
    for name, machine in cloud.machines().items():
        boot = BootConfiguration("lab", name, (owner,)).encode()
        if cloud.backend == "azure":
            assert machine["userData"] == base64.b64encode(boot).decode()
        else:
            assert machine["metadata"]["cloister-boot-configuration"] == boot.decode()


def test_every_resource_that_supports_labels_has_them(cloud: Cloud):
    wanted = {"cloister-workspace": "lab", "managed-by": "cloister", "cost-centre": "4711"}
    place = {"azure": "tags", "gcp": "labels"}[cloud.backend]
    bare = []
    for resource in cloud.resources():
        ours = resource["type"].partition(":")[0] in schema.PACKAGES
        if ours and place in schema.resource(resource["type"]).inputs:
            bare += [] if resource["inputs"].get(place, {}).items() >= wanted.items() else [resource["type"]]
    assert sorted(set(bare)) == []


def test_state_contains_no_secret(cloud: Cloud):
    """Neither outputs that the SDKs call secret nor credentials in the environment."""
    for resource in cloud.resources():
        for name in resource.get("additionalSecretOutputs", []):
            held = resource["outputs"].get(name)
            assert held is None or (held["4dabf18193072939515e22adb298388d"] == _SECRET and "value" not in held)
    files = [path for path in cloud.project.state.rglob("*") if path.is_file()]
    assert len(files) > 2
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def larger(value: Value, cloud: Cloud) -> None:
    """One CVM gets another size, the other another zone."""
    value["cvms"][0] |= {"vcpus": 8, "memory": "32GiB"}
    value["cvms"][1]["zone"] = workspaces.ZONES[cloud.backend][0]
    value["ingress"].append("203.0.113.0/24")
    value["budget"] |= {"amount": 600}


def another_tee(value: Value, cloud: Cloud) -> None:
    """One CVM gets another TEE, one is removed, one is added."""
    value["cvms"][0]["tee"] = "tdx"
    value["cvms"][1] = value["cvms"][0] | {"name": "third"}
    del value["budget"]


def another_owner(value: Value, cloud: Cloud) -> None:
    value["members"].append({"name": "clinic", "key": workspaces.key(), "roles": ["owner"]})


def another_image(value: Value, cloud: Cloud) -> None:
    value["image"] = str(cloud.other)


def public(value: Value, cloud: Cloud) -> None:
    value["endpoint"] = "public"


def other_labels(value: Value, cloud: Cloud) -> None:
    value["labels"] = {"cost-centre": "4712"}


def another_budget_start(value: Value, cloud: Cloud) -> None:
    """Azure's budgets have a start; Google's have none."""
    value["budget"] |= {"start": "2027-01-01"} if cloud.backend == "azure" else {"alerts": [80]}


def both(kind: str, operation: str) -> dict[str, str]:
    return {f"{kind} {name}": operation for name in ("trainer", "scorer")}


TAGGED = ("ResourceGroup lab", "VirtualNetwork network", "NetworkSecurityGroup rules", "RouteTable routes")
CHANGES: list[tuple[Callable[[Value, Cloud], None], dict[str, str], dict[str, str]]] = [
    (
        larger,
        {
            **both("VirtualMachine", "replace"),
            "NetworkSecurityGroup rules": "update",
            "Budget budget": "update",
        },
        {
            **both("Instance", "replace"),
            "Firewall cloister-lab-allow-agent": "update",
            "Budget budget": "update",
        },
    ),
    (
        another_tee,
        {
            "VirtualMachine trainer": "replace",
            "VirtualMachine scorer": "delete",
            "VirtualMachine third": "create",
            "NetworkInterface scorer": "delete",
            "NetworkInterface third": "create",
            "NetworkSecurityGroup rules": "update",
            "Budget budget": "delete",
        },
        {
            "Instance trainer": "replace",
            "Instance scorer": "delete",
            "Instance third": "create",
            "Budget budget": "delete",
        },
    ),
    (another_budget_start, {"Budget budget": "replace"}, {"Budget budget": "update"}),
    (another_owner, both("VirtualMachine", "replace"), both("Instance", "replace")),
    (another_image, both("VirtualMachine", "replace"), both("Instance", "replace")),
    (
        public,
        {
            **both("PublicIPAddress", "create"),
            **both("NetworkInterface", "update"),
            **both("VirtualMachine", "update"),
            "RouteTable routes": "update",
        },
        {
            "Address cloister-lab-trainer": "create",
            "Address cloister-lab-scorer": "create",
            **both("Instance", "replace"),
            "Route cloister-lab-replies-198-51-100-0-24": "create",
        },
    ),
    (
        other_labels,
        {
            **dict.fromkeys(TAGGED, "update"),
            **both("NetworkInterface", "update"),
            **both("VirtualMachine", "update"),
            "UserAssignedIdentity identity": "update",
        },
        {**both("Instance", "update"), "CryptoKey cloister-lab": "update"},
    ),
]


@pytest.mark.parametrize(("change", "azure", "gcp"), CHANGES, ids=[change.__name__ for change, _, _ in CHANGES])
def test_change_affects_only_the_expected_resources(
    cloud: Cloud, change: Callable[[Value, Cloud], None], azure: dict[str, str], gcp: dict[str, str]
):
    value = copy.deepcopy(cloud.value)
    change(value, cloud)
    cloud.configure(value)
    assert cloud.preview() == {"azure": azure, "gcp": gcp}[cloud.backend]


def test_workspace_without_a_key_can_move_to_another_region(cloud: Cloud):
    """In Azure everything is replaced; at Google the key ring is in a region and protected."""
    value = copy.deepcopy(cloud.value)
    if cloud.backend == "gcp":
        value["gcp"]["region"] = "europe-west1"
        cloud.configure(value)
        said = cloud.project.pulumi("preview", good=False)
        assert "kms/keyRing:KeyRing::cloister-lab" in said
        assert "marked for protection" in said
        return
    value["azure"]["location"] = "northeurope"
    cloud.configure(value)
    found = cloud.preview()
    assert found.pop("azure-native azure") == "update"
    assert set(found.values()) == {"replace"}
    assert {*both("VirtualMachine", "replace"), "ResourceGroup lab", "VirtualNetwork network"} <= set(found)


def test_network_opened_by_hand_is_closed_again(cloud: Cloud):
    cloud.configure(cloud.value)
    things = cloud.things()
    for thing in things.values():
        if thing["type"].endswith(":NetworkSecurityGroup"):
            thing["inputs"]["securityRules"][0]["sourceAddressPrefixes"] = ["0.0.0.0/0"]
        elif thing["type"].endswith(":Firewall") and "allows" in thing["inputs"]:
            thing["inputs"]["sourceRanges"] = ["0.0.0.0/0"]
    cloud.world.write_text(json.dumps(things))
    rules = {"azure": "NetworkSecurityGroup rules", "gcp": "Firewall cloister-lab-allow-agent"}
    assert cloud.preview() == {rules[cloud.backend]: "update"}


def test_workspace_keeps_its_endpoints_through_changes_until_destroyed(cloud: Cloud):
    """Real updates and replacements, with public addresses; at the end only what the cloud keeps is left."""
    value = copy.deepcopy(cloud.value)
    for change in (larger, public, other_labels):
        change(value, cloud)
    cloud.configure(value)
    cloud.project.pulumi("up", "--yes", "--skip-preview")
    found = cloud.descriptor()
    assert [cvm.endpoint.partition(".")[0] for cvm in found.cvms] == ["203", "203"]
    assert set(cloud.machines()) == {"trainer", "scorer"}
    assert {cvm.name: cvm.boot_configuration for cvm in found.cvms} == {
        name: boot_of(machine) for name, machine in cloud.machines().items()
    }

    cloud.project.pulumi("destroy", "--yes", "--skip-preview", "--exclude-protected")
    ours = [one["type"] for one in cloud.things().values() if one["inputs"].get("name") != "base"]
    kept = {"azure": [], "gcp": ["gcp:kms/cryptoKey:CryptoKey", "gcp:kms/keyRing:KeyRing"]}
    registry = [one for one in ours if ":Gallery" not in one]
    assert sorted(registry) == kept[cloud.backend]
