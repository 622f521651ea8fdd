"""The clouds' storage, as others have rebuilt it; and a small image to publish."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from gcp_storage_emulator.server import create_server

from image.publish.artefact import Artefact
from tests.image.publish.azurite import ACCOUNT, KEY, Azurite, azurite

# The SHA-256 of the disk of 4 GiB below, which takes a while; publishing would refuse another.
LARGE = "b741d5d0ad9c9371326047dcabd4c843bf22677ce13c19f2f5595f4ac1dc3211"


@pytest.fixture(scope="package")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def container(azure: Azurite, request: pytest.FixtureRequest) -> ContainerClient:
    """An empty container of its own for each test."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:32]
    made = client(azure, name)
    made.create_container()
    return made


def client(azure: Azurite, container: str, port: int | None = None) -> ContainerClient:
    """Who may do everything, and tries everything once."""
    return ContainerClient.from_container_url(
        azure.url(container, port),
        credential={"account_name": ACCOUNT, "account_key": KEY},
        connection_verify=str(azure.authority),
        retry_total=0,
    )


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    """A disk of 48 MiB, of which 20 MiB and some pages here and there are not zero."""
    return sparse_disk(tmp_path / "disk.vhd", 48)


def sparse_disk(path: Path, mebibytes: int) -> Artefact:
    """A VHD with a solid part of 20 MiB, single pages, and a footer."""
    mebibyte, page = 1 << 20, 512
    size = mebibytes * mebibyte + page
    with path.open("wb") as file:
        file.truncate(size)
        for index in range(20):
            file.seek((2 + index) * mebibyte)
            file.write(bytes([index + 1]) * mebibyte)
        for offset in (0, 24 * mebibyte + page, 25 * mebibyte, 26 * mebibyte - page, size - page):
            file.seek(offset)
            file.write(b"page".ljust(page, b"."))
    digest = LARGE if mebibytes == 4096 else ""
    if not digest:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artefact(f"cloister-base-{digest}.vhd", path, digest, size)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of an empty emulator of Google's storage, to which the client library goes by itself."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    port = server._api._httpd.server_address[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    try:
        yield port
    finally:
        server.stop()
