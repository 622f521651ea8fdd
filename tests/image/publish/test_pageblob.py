"""Upload of a VHD: without zeros, resumed after an interruption, and marked as complete only after a check."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient, PublicAccess

from cloister.errors import InputError
from image.formats import sparse
from image.publish import pageblob
from image.publish.artefact import MARK, Artefact, Progress
from image.publish.errors import PublishError, StorageRefusedError, StorageUnreachableError
from tests.image.publish.azurite import Azurite
from tests.image.publish.tcp_proxy import tcp_proxy

SOLID = 20 << 20
# More than four connections send before the first of them has a response to its first piece of 4 MiB.
CUT = 17 << 20


def silent(_what: str, _size: int) -> nullcontext[Progress]:
    return nullcontext(lambda done, total: None)


def data_size(artefact: Artefact) -> int:
    """Bytes of the pages that are not zero."""
    with artefact.path.open("rb") as file:
        return sum(extent.size for extent in sparse.file_extents(file.fileno(), artefact.size, 512))


def read(container: ContainerClient, artefact: Artefact) -> bytes:
    return container.download_blob(artefact.name).readall()


def mark(container: ContainerClient, artefact: Artefact) -> dict[str, str]:
    return container.get_blob_client(artefact.name).get_blob_properties().metadata


def test_blob_contains_the_disk_and_has_its_digest_as_metadata(container: ContainerClient, artefact: Artefact) -> None:
    done = pageblob.publish(artefact, container, silent)

    assert read(container, artefact) == artefact.path.read_bytes()
    assert mark(container, artefact) == {MARK: artefact.sha256}
    assert (done.url, done.sha256) == (f"{container.url}/{artefact.name}", artefact.sha256)


def test_pages_of_zeros_are_not_sent(azure: Azurite, container: ContainerClient, artefact: Artefact) -> None:
    """Counts the bytes on the wire, with TLS and HTTP."""
    with tcp_proxy(azure.port) as proxy:
        done = pageblob.publish(artefact, azure.client(container.container_name, proxy.port), silent)

    assert data_size(artefact) == SOLID + 5 * 512
    assert data_size(artefact) <= done.sent <= data_size(artefact) * 1.05
    assert proxy.sent <= data_size(artefact) * 1.05


def test_existing_image_is_not_sent_again(azure: Azurite, container: ContainerClient, artefact: Artefact) -> None:
    pageblob.publish(artefact, container, silent)
    artefact.path.unlink()
    with tcp_proxy(azure.port) as proxy:
        done = pageblob.publish(artefact, azure.client(container.container_name, proxy.port), silent)

    assert done.sent == 0
    assert proxy.sent < 10_000


def test_interrupted_upload_sends_only_what_is_missing(
    azure: Azurite, container: ContainerClient, artefact: Artefact
) -> None:
    """The service reports what is there; nothing is kept locally."""
    with tcp_proxy(azure.port, CUT) as proxy, pytest.raises(StorageUnreachableError, match="not respond") as raised:
        pageblob.publish(artefact, azure.client(container.container_name, proxy.port), silent)
    assert raised.value.hint == "Run the same command again to resume."
    assert mark(container, artefact) == {}
    there = container.get_blob_client(artefact.name).list_page_ranges()
    arrived = sum(extent.end - extent.start + 1 for extent in there)
    assert 0 < arrived < SOLID

    done = pageblob.publish(artefact, container, silent)

    assert done.sent <= (data_size(artefact) - arrived) * 1.05
    assert read(container, artefact) == artefact.path.read_bytes()
    assert mark(container, artefact) == {MARK: artefact.sha256}


def test_pages_that_differ_are_sent_again(container: ContainerClient, artefact: Artefact) -> None:
    """An incomplete upload with other pages: some are wrong, one should be zero."""
    blob = container.get_blob_client(artefact.name)
    blob.create_page_blob(artefact.size)
    for offset in (3 << 20, 40 << 20, artefact.size - 512):
        blob.upload_page(b"wrong".ljust(512, b"!"), offset, 512)

    pageblob.publish(artefact, container, silent)

    assert read(container, artefact) == artefact.path.read_bytes()
    assert mark(container, artefact) == {MARK: artefact.sha256}


def test_blob_that_changes_after_the_upload_is_not_marked(container: ContainerClient, artefact: Artefact) -> None:
    """Another writer changes the blob after each upload."""
    blob = container.get_blob_client(artefact.name)

    @contextmanager
    def spoiling(what: str, _size: int) -> Iterator[Progress]:
        yield lambda done, total: None
        if what == "Uploading":
            blob.upload_page(b"spoilt".ljust(512, b"!"), 3 << 20, 512)

    with pytest.raises(PublishError, match="differs from what was sent"):
        pageblob.publish(artefact, container, spoiling)
    assert mark(container, artefact) == {}


def test_blob_that_changes_during_the_comparison_is_not_marked(container: ContainerClient, artefact: Artefact) -> None:
    blob = container.get_blob_client(artefact.name)

    @contextmanager
    def spoiling(what: str, size: int) -> Iterator[Progress]:
        yield lambda done, total: None
        if what == "Comparing" and size:
            blob.upload_page(b"spoilt".ljust(512, b"!"), 3 << 20, 512)

    with pytest.raises(PublishError, match="Another process wrote"):
        pageblob.publish(artefact, container, spoiling)
    assert mark(container, artefact) == {}


def test_check_repairs_a_changed_blob_that_is_marked_complete(container: ContainerClient, artefact: Artefact) -> None:
    pageblob.publish(artefact, container, silent)
    blob = container.get_blob_client(artefact.name)
    blob.upload_page(b"changed".ljust(512, b"!"), 40 << 20, 512)

    assert pageblob.publish(artefact, container, silent).sent == 0
    assert pageblob.publish(artefact, container, silent, check=True).sent > 0
    assert read(container, artefact) == artefact.path.read_bytes()
    assert pageblob.publish(artefact, container, silent, check=True).sent == 0


def test_mark_is_removed_during_a_repair(azure: Azurite, container: ContainerClient, artefact: Artefact) -> None:
    pageblob.publish(artefact, container, silent)
    container.get_blob_client(artefact.name).upload_page(bytes(4 << 20), 3 << 20, 4 << 20)

    with tcp_proxy(azure.port, 1 << 20) as proxy, pytest.raises(StorageUnreachableError):
        pageblob.publish(artefact, azure.client(container.container_name, proxy.port), silent, check=True)
    assert mark(container, artefact) == {}


def test_a_file_that_is_not_the_image_is_not_published(container: ContainerClient, artefact: Artefact) -> None:
    with artefact.path.open("r+b") as file:
        file.write(b"other")

    with pytest.raises(PublishError, match="SHA-256 differs"):
        pageblob.publish(artefact, container, silent)
    with pytest.raises(ResourceNotFoundError):
        mark(container, artefact)


def test_another_blob_of_that_name_is_not_changed(container: ContainerClient, artefact: Artefact) -> None:
    container.upload_blob(artefact.name, b"other")

    with pytest.raises(PublishError, match="exists and is not this image"):
        pageblob.publish(artefact, container, silent)
    assert read(container, artefact) == b"other"


def test_blob_of_that_size_with_another_mark_is_not_changed(container: ContainerClient, artefact: Artefact) -> None:
    container.get_blob_client(artefact.name).create_page_blob(artefact.size, metadata={MARK: "0" * 64})

    with pytest.raises(PublishError, match="exists and is not this image"):
        pageblob.publish(artefact, container, silent)
    assert mark(container, artefact) == {MARK: "0" * 64}


def test_missing_container_is_named(azure: Azurite, artefact: Artefact) -> None:
    absent = azure.client("absent")

    with pytest.raises(PublishError, match="does not exist") as raised:
        pageblob.publish(artefact, absent, silent)
    assert absent.url in raised.value.message


def test_public_container_is_rejected(container: ContainerClient, artefact: Artefact) -> None:
    container.set_container_access_policy({}, public_access=PublicAccess.BLOB)

    with pytest.raises(PublishError, match="is public"):
        pageblob.publish(artefact, container, silent)
    with pytest.raises(ResourceNotFoundError):
        mark(container, artefact)


def test_invalid_credentials_are_rejected(azure: Azurite, artefact: Artefact) -> None:
    stranger = ContainerClient.from_container_url(
        azure.url("any"),
        credential={"account_name": "devstoreaccount1", "account_key": "c3RyYW5nZXI="},
        connection_verify=str(azure.authority),
        retry_total=0,
    )

    with pytest.raises(StorageRefusedError) as raised:
        pageblob.publish(artefact, stranger, silent)
    assert raised.value.exit_code == 4


@pytest.mark.parametrize(
    "host",
    [
        "account.blob.core.windows.net.example.org",
        "accountblob.core.windows.net",
        "account.blob.core.window.net",
        "evil.example.org",
        "evil.example.org\\@account.blob.core.windows.net",
        "account.blob.core.windows.net@evil.example.org",
        "user@account.blob.core.windows.net",
        "a.account.blob.core.windows.net",
        "account.blob.core.windows.net:8443",
        "127.0.0.1",
        "127.0.0.1.example.org:10000",
        "localhost:10000",
        "[::1",
    ],
)
def test_token_is_sent_only_to_azure_storage(host: str) -> None:
    with pytest.raises(InputError, match="Invalid Azure container"):
        pageblob.connect(f"https://{host}/images")
