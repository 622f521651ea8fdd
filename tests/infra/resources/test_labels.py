"""Labels: which types have any is compared with the installed SDKs, and a stack's transformation attaches them."""

import importlib
import inspect
from typing import Any

import pulumi
import pytest
from pulumi_azure_native import network, resources
from pulumi_gcp import compute

from infra.configuration import cloud
from infra.configuration.validation import Validator
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources import labels, types
from tests.infra import recorder

LAB = WorkspaceConfiguration("lab", "azure", "base", (), (), False, labels={"cost-centre": "4711"})
WANTED = {"cost-centre": "4711", "cloister-workspace": "lab", "managed-by": "cloister"}
SDKS = {"azure-native": "pulumi_azure_native", "gcp": "pulumi_gcp"}
TYPES = [kind for backend in ("azure", "gcp") for kind in types.TYPES[backend] if kind.split(":")[0] in SDKS]


@pytest.mark.parametrize("kind", TYPES)
def test_label_input_of_each_type_matches_its_sdk(kind: str):
    package, module, name = kind.split(":")
    resource = getattr(importlib.import_module(f"{SDKS[package]}.{module.split('/')[0]}"), name)
    word = "tags" if package == "azure-native" else "labels"
    has_any = word in inspect.signature(resource._internal_init).parameters
    assert types.label_input(kind) == (word if has_any else types.UNLABELLED)


def test_labels_are_added_to_existing_ones():
    def program() -> pulumi.Output[Any]:
        workspace = pulumi.ComponentResource(types.WORKSPACE, "lab", None, labels.options(LAB))
        own = pulumi.ResourceOptions(parent=workspace)
        resources.ResourceGroup("group", location="westeurope", opts=own)
        network.VirtualNetwork(
            "network",
            resource_group_name="group",
            tags=pulumi.Output.from_input({"own": "kept", "managed-by": "me"}),
            opts=own,
        )
        network.Subnet("cvms", resource_group_name="group", virtual_network_name="network", opts=own)
        compute.Instance(
            "trainer",
            machine_type="n2d-standard-2",
            boot_disk=compute.InstanceBootDiskArgs(),
            network_interfaces=[],
            labels={"own": pulumi.Output.from_input("kept")},
            opts=own,
        )
        compute.Network("network", opts=own)
        compute.Address("of-the-rest-of-the-program", labels={"own": "kept"})
        return pulumi.Output.from_input(None)

    found, _ = recorder.declare(program, {})
    said = {title: one["inputs"].get("tags", one["inputs"].get("labels")) for title, one in found.items()}
    assert said == {
        "azure-native:resources:ResourceGroup group": WANTED,
        "azure-native:network:VirtualNetwork network": {"own": "kept"} | WANTED,
        "azure-native:network:Subnet cvms": None,
        "gcp:compute/instance:Instance trainer": {"own": "kept"} | WANTED,
        "gcp:compute/network:Network network": None,
        "gcp:compute/address:Address of-the-rest-of-the-program": {"own": "kept"},
        f"{types.WORKSPACE} lab": None,
    }


def test_configured_label_cannot_replace_cloisters():
    said = WorkspaceConfiguration("lab", "gcp", "base", (), (), False, labels={"cloister-workspace": "another"})
    assert labels.labels(said) == {"cloister-workspace": "lab", "managed-by": "cloister"}


def test_azure_key_can_hold_the_maximum_of_labels():
    """Azure Key Vault, "About keys": 15 tags. Everything else that is labelled has room for more."""
    found = Validator()
    most = cloud.labels(found, {f"label-{number}": "1" for number in range(13)})
    assert found.problems == []
    cloud.labels(found, most | {"one-more": "1"})
    assert found.problems == ["workspace.labels: 14 entries; at most 13 are allowed."]
    assert len(labels.labels(WorkspaceConfiguration("lab", "azure", "base", (), (), False, labels=most))) == 15
