"""Emulators of the clouds' storage, and a small image to publish."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from gcp_storage_emulator.server import create_server

from image.publish.artefact import Artefact
from tests.image.publish.azurite import Azurite, azurite
from tests.image.publish.sparse_disk import sparse_disk


@pytest.fixture(scope="package")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def container(azure: Azurite, request: pytest.FixtureRequest) -> ContainerClient:
    """An empty container for each test."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:32]
    made = azure.client(name)
    made.create_container()
    return made


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    """A disk of 48 MiB, of which 20 MiB and some scattered pages are not zero."""
    return sparse_disk(tmp_path / "disk.vhd", 48)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of an empty emulator of Google's storage, which the client library uses by default."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    port = server._api._httpd.server_address[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    try:
        yield port
    finally:
        server.stop()
