"""A fixed VHD as a page blob: zero pages are not sent, what is there already is found by asking, all of it is checked.

Azure REST API, "Operations on page blobs": Put Page, Get Page Ranges, pages of 512 bytes, at most 4 MiB in a request.
The blob has the mark of a whole image only after everything in it was read back and compared.
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
# A transfer, the check of it, and the same again for what did not arrive as it was sent.
_ROUNDS = 3
_TIMEOUT = 60
# What a token is for: Microsoft, "Authorize access to blobs using Microsoft Entra ID".
_SCOPE = "https://storage.azure.com/.default"
# Who gets that token: a standard endpoint (Microsoft, "Storage account overview"; accounts have 3 to 24 letters and
# digits), or Azurite on this machine. A mistyped host would be handed what opens every account of the user's.
_HOST = re.compile(r"[a-z0-9]{3,24}\.blob\.core\.windows\.net|127\.0\.0\.1:[0-9]{1,5}")


def connect(destination: str) -> "ContainerClient":
    """The container at ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, with whatever credential there is.

    Raises InputError, also when there is none. Nothing is asked of the storage yet.
    """
    _refuse_other(destination)
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient, ExponentialRetry

    # What it logs is in the error, too.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    credential = DefaultAzureCredential()
    try:
        # It keeps the token. The storage's client would take a missing one for a bad connection, and try and try.
        credential.get_token(_SCOPE)
    except ClientAuthenticationError as error:
        said, hint = _unknown(error)
        raise NotSignedInError(said, hint=hint) from error
    # The default waits for a quarter of a minute before it tries again.
    retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4, random_jitter_range=1)
    return ContainerClient.from_container_url(
        destination,
        credential=credential,
        retry_policy=retry,
        connection_timeout=20,
        read_timeout=_TIMEOUT,
    )


def publish(artefact: Artefact, container: "ContainerClient", bar: Bar, *, check: bool = False) -> Published:
    """Bring ``artefact`` into ``container`` unless it is there; ``check`` reads it back even then.

    Raises PublishError, StorageRefusedError and StorageUnreachableError; what was sent until then need not be sent
    again.
    """
    from azure.core import MatchConditions

    blob = container.get_blob_client(artefact.name)
    with _sentences(container, artefact.name):
        _refuse_public(container)
        marked = _look(blob, artefact)
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
                    # Not if somebody wrote to it since we began to look.
                    blob.set_blob_metadata(
                        {MARK: artefact.sha256}, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
                    return Published(blob.url, artefact.sha256, artefact.size, sent)
                if marked:
                    blob.set_blob_metadata({})
                    marked = False
                sent += transfer.send(missing)
    raise PublishError(
        f"{blob.url} does not hold what was sent to it, however often.",
        hint="Somebody else writes to it, or the connection changes what it carries. Delete it and do the same again.",
    )


@dataclass(frozen=True)
class _Transfer:
    """From a file to a blob; ``wanted`` are the pages of the file that are not zero."""

    blob: "BlobClient"
    file: int
    wanted: Sequence[Extent]
    bar: Bar

    def missing(self, etag: str) -> list[Extent]:
        """What the blob does not have, or has otherwise: the latter is read back, as long as it has this ``etag``."""
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
        """Write ``extents``; the number of bytes."""
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
    """Do ``work`` for all, some at once; the first error ends it after what is under way."""
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
            f"Anybody may read what is in {container.url} (its public access is {access!r}).",
            hint="An image goes into a container without public access: set its access level to private.",
        )


def _look(blob: "BlobClient", artefact: Artefact) -> bool | None:
    """Whether the blob has the mark of being whole; None where there is no blob. Raises PublishError for another."""
    from azure.core.exceptions import ResourceNotFoundError
    from azure.storage.blob import BlobType

    try:
        found = blob.get_blob_properties()
    except ResourceNotFoundError:
        return None
    mark = (found.metadata or {}).get(MARK)
    if (found.blob_type, found.size) != (BlobType.PAGEBLOB, artefact.size) or mark not in (None, artefact.sha256):
        raise PublishError(
            f"{blob.url} is there already, and it is not this image.", hint="Delete it, or name another container."
        )
    return mark is not None


@contextmanager
def _sentences(container: "ContainerClient", name: str) -> Generator[None, None, None]:
    """Say what the service or its client says in one sentence with what to do about it."""
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
            f"{host} does not answer: {_first_line(error)}", hint="Do the same again: it goes on where it stopped."
        ) from error
    except ClientAuthenticationError as error:
        said, hint = _unknown(error)
        raise StorageRefusedError(said, hint=hint) from error
    except ResourceNotFoundError as error:
        raise PublishError(
            f"There is no container {container.url}.",
            hint="The registry makes it: `invoke registry.list` shows the destination of each.",
        ) from error
    except ResourceModifiedError as error:
        raise PublishError(
            f"Somebody else wrote to {name} in {container.url} meanwhile.",
            hint="Do the same again when they are done: it goes on where it stopped.",
        ) from error
    except HttpResponseError as error:
        if error.status_code == 403:
            raise StorageRefusedError(
                f"You may not write to {container.url} ({_code(error)}).",
                hint="Whoever owns it gives you the role Storage Blob Data Contributor there; it takes some minutes.",
            ) from error
        raise PublishError(f"{host} refused {name}: {error.status_code} {_code(error)}.") from error


def _refuse_other(destination: str) -> None:
    """Raises InputError for what is no container of Azure's public cloud or of the emulator."""
    try:
        parts = urlsplit(destination)
    except ValueError:
        parts = urlsplit("")
    known = parts.scheme == "https" and _HOST.fullmatch(parts.netloc.lower())
    if not known or not parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(
            f"{destination!r} is no container of Azure.",
            hint="It looks like https://ACCOUNT.blob.core.windows.net/CONTAINER, without a signature behind it.",
        )


def _unknown(error: Exception) -> tuple[str, str]:
    """What to say, and what to do."""
    return (
        f"Azure does not know who you are: {_first_line(error)}",
        "Sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.",
    )


def _code(error: Exception) -> str:
    return str(getattr(error, "error_code", None) or getattr(error, "reason", None) or "without a reason")


def _first_line(error: Exception) -> str:
    """The service's messages go on for lines with numbers of requests."""
    return str(error).strip().splitlines()[0].strip() if str(error).strip() else type(error).__name__
