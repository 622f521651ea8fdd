"""The stand-ins as the engine uses them: over gRPC, with a world in a file."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.provider.values import from_struct, to_struct
from infra.resources.placeholders import COMPUTED
from tests.infra.clouds import world
from tests.infra.clouds.servicer import CloudProvider

GROUP = "azure-native:resources:ResourceGroup"
NETWORK = "azure-native:network:VirtualNetwork"
SUBNET = "azure-native:network:Subnet"
INTERFACE = "azure-native:network:NetworkInterface"
VAULT = "azure-native:keyvault:Vault"
VALUES = {"resourceGroupName": "lab"}


@dataclass
class Cloud:
    stub: provider_pb2_grpc.ResourceProviderStub
    path: Path

    def check(self, kind: str, inputs: dict[str, Any], olds: dict[str, Any] | None = None) -> dict[str, Any]:
        request = provider_pb2.CheckRequest(urn=urn(kind), olds=to_struct(olds or {}), news=to_struct(inputs))
        answer = self.stub.Check(request)
        assert list(answer.failures) == []
        return from_struct(answer.inputs)

    def create(self, kind: str, **inputs: Any) -> str:
        checked = self.check(kind, inputs)
        return self.stub.Create(provider_pb2.CreateRequest(urn=urn(kind), properties=to_struct(checked))).id

    def refusal(self, method: str, request: Any) -> str:
        with pytest.raises(grpc.RpcError) as caught:
            getattr(self.stub, method)(request)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        return caught.value.details()

    def read(self, kind: str, identity: str) -> provider_pb2.ReadResponse:
        return self.stub.Read(provider_pb2.ReadRequest(id=identity, urn=urn(kind)))

    def delete(self, kind: str, identity: str) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(id=identity, urn=urn(kind)))


def urn(kind: str) -> str:
    return f"urn:pulumi:lab::cloister::{kind}::lab"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setenv(world.VARIABLE, str(tmp_path / "world.json"))
    server = grpc.server(ThreadPoolExecutor(2))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(CloudProvider("azure-native"), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"subscriptionId": "s", "location": "westeurope"})))
        yield Cloud(stub, tmp_path / "world.json")
    server.stop(None).wait()


def network(azure: Cloud) -> tuple[str, str, str]:
    """The ids of a resource group, of a subnet in it, and of an interface in that."""
    group = azure.create(GROUP, resourceGroupName="lab")
    azure.create(NETWORK, **VALUES, virtualNetworkName="lab", addressSpace={"addressPrefixes": ["10.99.0.0/24"]})
    subnet = azure.create(SUBNET, **VALUES, virtualNetworkName="lab", subnetName="cvms", addressPrefix="10.99.0.0/24")
    address = {"name": "agent", "subnet": {"id": subnet}, "privateIPAddress": "10.99.0.10"}
    interface = azure.create(INTERFACE, **VALUES, networkInterfaceName="trainer", ipConfigurations=[address])
    return group, subnet, interface


def test_name_is_generated_once_and_defaults_come_from_the_provider(azure: Cloud):
    first = azure.check(GROUP, {})
    assert first["location"] == "westeurope"
    assert first["resourceGroupName"].startswith("lab") and len(first["resourceGroupName"]) == 11
    assert azure.check(GROUP, {"tags": {"a": "b"}}, first)["resourceGroupName"] == first["resourceGroupName"]


def test_existing_resource_cannot_be_created_again(azure: Cloud):
    group = azure.create(GROUP, resourceGroupName="lab")
    request = provider_pb2.CreateRequest(urn=urn(GROUP), properties=to_struct({"resourceGroupName": "lab"}))
    assert azure.refusal("Create", request) == f"{group} exists already."


def test_missing_parent_is_refused(azure: Cloud):
    request = provider_pb2.CreateRequest(
        urn=urn(NETWORK), properties=to_struct({**VALUES, "virtualNetworkName": "lab"})
    )
    assert azure.refusal("Create", request) == "/subscriptions/s/resourceGroups/lab was not found."


def test_preview_creates_nothing_and_knows_no_computed_value(azure: Cloud):
    request = provider_pb2.CreateRequest(
        urn=urn(GROUP), properties=to_struct({"resourceGroupName": "lab"}), preview=True
    )
    assert from_struct(azure.stub.Create(request).properties)["type"] == COMPUTED
    assert not azure.path.exists()


def test_resource_can_be_deleted_once_it_is_unused(azure: Cloud):
    _, subnet, interface = network(azure)
    request = provider_pb2.DeleteRequest(id=subnet, urn=urn(SUBNET))
    assert azure.refusal("Delete", request) == f"{subnet} is in use by {interface}."
    azure.delete(INTERFACE, interface)
    azure.delete(SUBNET, subnet)
    assert azure.read(SUBNET, subnet).id == ""


def test_deleting_a_group_deletes_its_content(azure: Cloud):
    group, _, interface = network(azure)
    azure.delete(GROUP, group)
    assert azure.read(INTERFACE, interface).id == ""
    assert json.loads(azure.path.read_text()) == {}


def test_change_in_the_cloud_is_read_back(azure: Cloud):
    _, _, interface = network(azure)
    resources = json.loads(azure.path.read_text())
    resources[interface]["inputs"]["enableIPForwarding"] = True
    azure.path.write_text(json.dumps(resources))
    found = azure.read(INTERFACE, interface)
    assert from_struct(found.inputs)["enableIPForwarding"] is True
    assert from_struct(found.properties)["enableIPForwarding"] is True


def test_refused_update_changes_nothing(azure: Cloud):
    _, _, interface = network(azure)
    before = azure.path.read_text()
    news = json.loads(before)[interface]["inputs"]
    news["ipConfigurations"][0]["privateIPAddress"] = "10.99.0.1"
    request = provider_pb2.UpdateRequest(id=interface, urn=urn(INTERFACE), news=to_struct(news))
    assert azure.refusal("Update", request) == "The private address is outside of the subnet, reserved or taken."
    assert azure.path.read_text() == before


def test_deleted_vault_with_purge_protection_keeps_its_name(azure: Cloud):
    azure.create(GROUP, resourceGroupName="lab")
    properties = {"tenantId": "t", "sku": {"family": "A", "name": "premium"}, "enablePurgeProtection": True}
    vault = azure.create(VAULT, **VALUES, vaultName="lab0", properties=properties)
    azure.delete(VAULT, vault)
    inputs = {**VALUES, "vaultName": "lab0", "properties": properties}
    request = provider_pb2.CreateRequest(urn=urn(VAULT), properties=to_struct(inputs))
    assert azure.refusal("Create", request) == "A deleted vault, protected from purging, has that name."


@pytest.mark.parametrize(("name", "first"), [("lab", True), ("lab01234567", False)])
def test_resource_with_a_fixed_name_is_deleted_before_its_replacement(azure: Cloud, name: str, first: bool):
    olds = {"resourceGroupName": name, "location": "westeurope"}
    request = provider_pb2.DiffRequest(
        id="x", urn=urn(GROUP), old_inputs=to_struct(olds), news=to_struct(olds | {"location": "northeurope"})
    )
    found = azure.stub.Diff(request)
    assert (list(found.replaces), found.deleteBeforeReplace) == (["location"], first)
