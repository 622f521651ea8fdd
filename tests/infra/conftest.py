"""A provider in this process, reached over gRPC as the engine reaches it, with a stand-in for QEMU."""

import base64
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image.inputs import host_tools
from infra.provider.qemu import machine, ports
from infra.provider.servicer import LocalProvider
from infra.provider.values import from_struct, to_struct
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM
from tests.infra.project import PLUGIN, STACK, Project, processes_below
from tests.infra.standin import agent

STANDIN = Path(__file__).parent / "standin"
Agents = Callable[..., str]
"""Starts an agent's stand-in, with an unfinished run or without; returns its address."""

OWNER = hashlib.sha256(b"owner").hexdigest()


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:lab::cloister::cloister:index:Workspace${kind}::{name}"


@dataclass
class Engine:
    """What the engine asks of a provider, for one workspace."""

    stub: provider_pb2_grpc.ResourceProviderStub
    provider: LocalProvider
    state: Path
    image: Path

    def authority(self) -> dict[str, Any]:
        return self.create(LOCAL_AUTHORITY, {"workspace": "lab", "stack": "cloister/lab"})

    def inputs(self, **changes: Any) -> dict[str, Any]:
        """Checked inputs of a CVM; an authority is made when none is given."""
        manifest = ImageManifest.parse(self.image.read_bytes())
        properties = {
            "workspace": "lab",
            "name": "trainer",
            "image": str(self.image),
            "imageDigest": manifest.digest().hex(),
            "bootConfiguration": BootConfiguration("lab", "trainer", (OWNER,)).encode().decode(),
            "vcpus": 2,
            "memory": 1 << 30,
        } | changes
        if "authority" not in properties:
            properties["authority"] = self.authority()["certificate"]
        inputs, failures = self.check({}, properties)
        assert failures == {}
        return inputs

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        request = provider_pb2.CheckRequest(urn=urn(LOCAL_CVM, "trainer"), olds=to_struct(olds), news=to_struct(news))
        answer = self.stub.Check(request)
        return from_struct(answer.inputs), {failure.property: failure.reason for failure in answer.failures}

    def create(self, kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
        return from_struct(self.start(kind, inputs).result().properties)

    def start(self, kind: str, inputs: dict[str, Any]) -> Any:
        request = provider_pb2.CreateRequest(urn=urn(kind, "trainer"), properties=to_struct(inputs))
        return self.stub.Create.future(request)

    def diff(self, inputs: dict[str, Any], state: dict[str, Any], news: dict[str, Any]) -> provider_pb2.DiffResponse:
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id="lab/trainer",
                urn=urn(LOCAL_CVM, "trainer"),
                old_inputs=to_struct(inputs),
                olds=to_struct(state),
                news=to_struct(news),
            )
        )

    def read(self, kind: str, state: dict[str, Any]) -> dict[str, Any] | None:
        """None when the provider says that the resource is gone."""
        request = provider_pb2.ReadRequest(id="lab", urn=urn(kind, "trainer"), properties=to_struct(state))
        answer = self.stub.Read(request)
        return from_struct(answer.properties) if answer.id else None

    def delete(self, kind: str, state: dict[str, Any]) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(id="lab", urn=urn(kind, "trainer"), properties=to_struct(state)))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The manifest of an image whose disk holds nothing."""
    folder = tmp_path / "image"
    folder.mkdir()
    disk = bytes(4096)
    (folder / "disk.raw").write_bytes(disk)
    manifest = ImageManifest(
        flavor="base",
        debug=False,
        inputs=dict.fromkeys(("recipe", "lock", "tools", "source"), "00" * 32),
        outputs={"disk.raw": ImageOutput(hashlib.sha256(disk).hexdigest(), len(disk))},
        pcrs=dict.fromkeys((4, 9, 11, 12, 13), "00" * 32),
    )
    (folder / "manifest.json").write_bytes(manifest.encode())
    return folder / "manifest.json"


@pytest.fixture
def engine(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The provider, and QEMU's stand-in that becomes ready; STANDIN in the environment says otherwise."""
    specification = importlib.util.spec_from_file_location("standin_provider", STANDIN / "provider.py")
    standin = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(standin)
    monkeypatch.setattr(host_tools, "ensure", standin.ensure)
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("STANDIN", "ready")
    provider = LocalProvider(None)
    server = grpc.server(ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        yield Engine(stub, provider, tmp_path / "state", image)
    server.stop(None).wait()
    left = processes_below(tmp_path)
    machine.remove(tmp_path / "state" / "lab" / "trainer")
    assert left == []


@pytest.fixture
def project(tmp_path: Path, image: Path) -> Project:
    """A workspace of one CVM, through the real engine; a stand-in in QEMU's place."""
    plugin = tmp_path / "plugin" / PLUGIN
    plugin.parent.mkdir()
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{STANDIN / "provider.py"}" "$@"\n')
    plugin.chmod(0o755)
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    text = base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    value = {
        "backend": "local",
        "image": str(image),
        "members": [{"name": "lab", "key": text, "roles": ["owner"]}],
        "cvms": [{"name": "trainer", "memory": "1GiB"}],
    }
    made = Project.create(tmp_path, STACK, value, provider=plugin.parent)
    made.environment["STANDIN"] = "ready"
    return made


@pytest.fixture
def agents() -> Iterator[Agents]:
    """Starts stand-ins for agents; returns their addresses."""
    running: list[grpc.Server] = []

    def start(*, unfinished: bool) -> str:
        port = ports.free()
        running.append(agent.serve(port, unfinished=unfinished))
        return f"127.0.0.1:{port}"

    yield start
    for server in running:
        server.stop(None)
