"""Upload a fixed VHD as a page blob, without its zero pages and without the pages that are already there.

Azure REST API, "Operations on page blobs": Put Page, Get Page Ranges, pages of 512 bytes, at most 4 MiB per request.
The blob is marked as complete only after all of it was read back and compared.
"""

import logging
import os
import re
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from cloister.errors import InputError
from image.formats import sparse
from image.formats.sparse import Extent
from image.publish import pages
from image.publish.artefact import MARK, Artefact, Bar, Progress, Published
from image.publish.errors import NotSignedInError, PublishError, StorageRefusedError, StorageUnreachableError

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, ContainerClient

T = TypeVar("T")

_PARALLEL = 4
# Upload, check, and repeat once for pages that arrived differently.
_ROUNDS = 3
_TIMEOUT = 60
# The scope of the token: Microsoft, "Authorize access to blobs using Microsoft Entra ID".
_SCOPE = "https://storage.azure.com/.default"
# The only hosts that may get the token: a standard endpoint (Microsoft, "Storage account overview"; account names have
# 3 to 24 letters and digits), or Azurite on this machine. The token opens every account of the user.
_HOST = re.compile(r"[a-z0-9]{3,24}\.blob\.core\.windows\.net|127\.0\.0\.1:[0-9]{1,5}")


def connect(destination: str) -> "ContainerClient":
    """The container at ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, with DefaultAzureCredential.

    Sends no request to the storage yet. Raises InputError for another address, and NotSignedInError if there are no
    credentials.
    """
    _check_destination(destination)
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient, ExponentialRetry

    # The error contains what it logs.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    credential = DefaultAzureCredential()
    try:
        # The credential caches the token. The storage client would treat a missing one as a network error and retry.
        credential.get_token(_SCOPE)
    except ClientAuthenticationError as error:
        message, hint = _sign_in_error(error)
        raise NotSignedInError(message, hint=hint) from error
    # The default waits 15 seconds before the first retry.
    retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4, random_jitter_range=1)
    return ContainerClient.from_container_url(
        destination,
        credential=credential,
        retry_policy=retry,
        connection_timeout=20,
        read_timeout=_TIMEOUT,
    )


def publish(artefact: Artefact, container: "ContainerClient", bar: Bar, *, check: bool = False) -> Published:
    """Upload ``artefact`` to ``container`` unless it is there; ``check`` reads it back even then.

    Raises PublishError, StorageRefusedError and StorageUnreachableError. What was sent until then is not sent again.
    """
    from azure.core import MatchConditions

    blob = container.get_blob_client(artefact.name)
    with _translated_errors(container, artefact.name):
        _refuse_public(container)
        marked = _is_marked(blob, artefact)
        if marked and not check:
            return Published(blob.url, artefact.sha256, artefact.size, 0)
        with artefact.open() as file:
            if marked is None:
                blob.create_page_blob(artefact.size, match_condition=MatchConditions.IfMissing)
            transfer = _Transfer(blob, file, sparse.file_extents(file, artefact.size, pages.PAGE), bar)
            sent = 0
            for _ in range(_ROUNDS):
                etag = blob.get_blob_properties().etag
                missing = transfer.missing(etag)
                if not missing:
                    # Fails if the blob was written to since the comparison began.
                    blob.set_blob_metadata(
                        {MARK: artefact.sha256}, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
                    return Published(blob.url, artefact.sha256, artefact.size, sent)
                if marked:
                    blob.set_blob_metadata({})
                    marked = False
                sent += transfer.send(missing)
    raise PublishError(
        f"{blob.url} still differs from what was sent, after {_ROUNDS} rounds.",
        hint="Another process may be writing to it. Delete it and run the same command again.",
    )


@dataclass(frozen=True)
class _Transfer:
    """A transfer from a file to a blob; ``wanted`` are the pages of the file that are not zero."""

    blob: "BlobClient"
    file: int
    wanted: Sequence[Extent]
    bar: Bar

    def missing(self, etag: str) -> list[Extent]:
        """Read the blob back and return the pages that are missing or differ. ``etag`` detects other writers."""
        from azure.core import MatchConditions

        same = MatchConditions.IfNotModified
        there = [
            Extent(found.start, found.end - found.start + 1)
            for found in self.blob.list_page_ranges(etag=etag, match_condition=same)
            if found.start is not None and found.end is not None and not found.cleared
        ]

        def differs(extent: Extent) -> bool:
            read = self.blob.download_blob(extent.offset, extent.size, etag=etag, match_condition=same)
            return read.readall() != self._read(extent)

        pieces = list(pages.split(there))
        with self.bar("Comparing", sum(piece.size for piece in pieces)) as progress:
            wrong = [piece for piece, other in _each(differs, pieces, progress) if other]
        return pages.joined([*pages.without(self.wanted, there), *wrong])

    def send(self, extents: Iterable[Extent]) -> int:
        """Write ``extents``; return the number of bytes."""
        pieces = list(pages.split(extents))
        size = sum(piece.size for piece in pieces)
        with self.bar("Uploading", size) as progress:
            for _ in _each(self._put, pieces, progress):
                pass
        return size

    def _put(self, extent: Extent) -> None:
        self.blob.upload_page(self._read(extent), extent.offset, extent.size)

    def _read(self, extent: Extent) -> bytes:
        return os.pread(self.file, extent.size, extent.offset)


def _each(
    work: Callable[[Extent], T], extents: Sequence[Extent], progress: Progress
) -> Generator[tuple[Extent, T], None, None]:
    """Run ``work`` for all extents in parallel; after an error no further ones start."""
    done, total = 0, sum(extent.size for extent in extents)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        running = {pool.submit(work, extent): extent for extent in extents}
        try:
            for future in as_completed(running):
                result = future.result()
                done += running[future].size
                progress(done, total)
                yield running[future], result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _refuse_public(container: "ContainerClient") -> None:
    access = container.get_container_properties().public_access
    if access is not None:
        raise PublishError(
            f"The container {container.url} is public (public access: {access!r}).",
            hint="Set its access level to private.",
        )


def _is_marked(blob: "BlobClient", artefact: Artefact) -> bool | None:
    """Whether the blob is marked as complete; None if it does not exist. Raises PublishError for another file."""
    from azure.core.exceptions import ResourceNotFoundError
    from azure.storage.blob import BlobType

    try:
        found = blob.get_blob_properties()
    except ResourceNotFoundError:
        return None
    mark = (found.metadata or {}).get(MARK)
    if (found.blob_type, found.size) != (BlobType.PAGEBLOB, artefact.size) or mark not in (None, artefact.sha256):
        raise PublishError(f"{blob.url} exists and is not this image.", hint="Delete it, or use another container.")
    return mark is not None


@contextmanager
def _translated_errors(container: "ContainerClient", name: str) -> Generator[None, None, None]:
    """Turn errors of the service and its client into errors with a hint."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        IncompleteReadError,
        ResourceModifiedError,
        ResourceNotFoundError,
        ServiceRequestError,
        ServiceResponseError,
    )

    host = urlsplit(container.url).netloc
    try:
        yield
    except (IncompleteReadError, ServiceRequestError, ServiceResponseError) as error:
        raise StorageUnreachableError(
            f"{host} does not respond: {_first_line(error)}", hint="Run the same command again to resume."
        ) from error
    except ClientAuthenticationError as error:
        message, hint = _sign_in_error(error)
        raise StorageRefusedError(message, hint=hint) from error
    except ResourceNotFoundError as error:
        raise PublishError(
            f"The container {container.url} does not exist.",
            hint="`invoke registry.up` creates it; `invoke registry.list` shows the destination of each registry.",
        ) from error
    except ResourceModifiedError as error:
        raise PublishError(
            f"Another process wrote to {name} in {container.url} during the upload.",
            hint="Wait until it is done, then run the same command again to resume.",
        ) from error
    except HttpResponseError as error:
        if error.status_code == 403:
            raise StorageRefusedError(
                f"No permission to write to {container.url} ({_code(error)}).",
                hint="Ask the owner for the role Storage Blob Data Contributor on it. A new role takes some minutes.",
            ) from error
        raise PublishError(f"{host} refused {name}: {error.status_code} {_code(error)}.") from error


def _check_destination(destination: str) -> None:
    """Raise InputError unless ``destination`` is a container of Azure's public cloud or of the emulator."""
    try:
        parts = urlsplit(destination)
    except ValueError:
        parts = urlsplit("")
    known = parts.scheme == "https" and _HOST.fullmatch(parts.netloc.lower())
    if not known or not parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(
            f"Invalid Azure container: {destination!r}.",
            hint="Write it as https://ACCOUNT.blob.core.windows.net/CONTAINER, without a signature.",
        )


def _sign_in_error(error: Exception) -> tuple[str, str]:
    """Message and hint for rejected or missing credentials."""
    return (
        f"Cannot sign in to Azure: {_first_line(error)}",
        "Sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
    )


def _code(error: Exception) -> str:
    return str(getattr(error, "error_code", None) or getattr(error, "reason", None) or "without a reason")


def _first_line(error: Exception) -> str:
    """The first line of a message of the service; further lines have request numbers."""
    return str(error).strip().splitlines()[0].strip() if str(error).strip() else type(error).__name__
