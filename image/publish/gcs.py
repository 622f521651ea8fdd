"""Upload a tar.gz to Google Cloud Storage, in one resumable upload whose checksum the service checks.

Google Cloud, "Resumable uploads": a session has its own address, which is valid for a week and needs no other
credential. The service reports how much it has received. The object appears only when it is complete and matches the
checksum that was announced.
"""

import hashlib
import json
import os
import time
import warnings
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.text import decimal
from image import cache
from image.publish.artefact import MARK, Artefact, Bar, Progress, Published
from image.publish.errors import NotSignedInError, PublishError, StorageRefusedError, StorageUnreachableError

if TYPE_CHECKING:
    import requests
    from google.cloud.storage import Bucket

# A session keeps only whole multiples of this.
_UNIT = 256 << 10
_CHUNK = 32 * _UNIT
_TIMEOUT = 60
_RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt; starts over when an attempt has made progress."""

_INCOMPLETE = 308
_GONE = (404, 410)
_BUSY = (408, 429, 500, 502, 503, 504)


def connect(destination: str) -> "Bucket":
    """The bucket ``gs://BUCKET``, with the application default credentials. Sends no request yet.

    Raises InputError for another address, and NotSignedInError if there are no credentials.
    """
    parts = urlsplit(destination)
    if parts.scheme != "gs" or not parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(f"Invalid bucket: {destination!r}.", hint="Write it as gs://BUCKET.")
    with warnings.catch_warnings():
        # Warnings about other versions of gRPC, which is not used here.
        warnings.filterwarnings("ignore", ".*grpcio", FutureWarning)
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client
    try:
        client = Client(project=None)
    except GoogleAuthError as error:
        raise NotSignedInError(
            "No credentials for Google Cloud found.",
            hint="Sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
        ) from error
    return client.bucket(parts.netloc)


def publish(artefact: Artefact, bucket: "Bucket", bar: Bar, *, check: bool = False) -> Published:
    """Upload ``artefact`` to ``bucket`` unless it is there; ``check`` compares checksums even then.

    Raises PublishError, StorageRefusedError and StorageUnreachableError. What was sent until then is not sent again.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(_TIMEOUT)
    url = f"gs://{bucket.name}/{artefact.name}"
    with _translated_errors(f"gs://{bucket.name}", url):
        bucket.reload(retry=retry)
        _refuse_public(bucket)
        found = bucket.get_blob(artefact.name, retry=retry)
        if found is not None:
            if (found.size, (found.metadata or {}).get(MARK)) != (artefact.size, artefact.sha256):
                raise _conflict(url)
            if check:
                with artefact.open() as file:
                    if found.crc32c != _checksum(file, artefact.size):
                        raise _conflict(url)
            return Published(url, artefact.sha256, artefact.size, 0)
        with artefact.open() as file, bar("Uploading", artefact.size) as progress:
            upload = _Upload(artefact, file, _checksum(file, artefact.size), bucket, _journal(url, artefact))
            return Published(url, artefact.sha256, artefact.size, upload.run(progress))


@dataclass(frozen=True)
class _Upload:
    """The upload of one object.

    artefact: what is uploaded.
    file: descriptor of its file.
    checksum: CRC32C of the file, as the service writes it.
    bucket: where it goes.
    journal: file that keeps the session's address; its progress is known only to the service.
    """

    artefact: Artefact
    file: int
    checksum: str
    bucket: "Bucket"
    journal: Path

    def run(self, progress: Progress) -> int:
        """Resume the session, or start one; return the number of bytes sent."""
        import requests

        with requests.Session() as session:
            known, offset, sent, failures = self._resume(session), 0, 0, 0
            address, query = known or self._begin(), known is not None
            while True:
                try:
                    if query:
                        response = self._query(session, address)
                    else:
                        sent += min(_CHUNK, self.artefact.size - offset)
                        response = self._send(session, address, offset)
                except requests.exceptions.RequestException:
                    if failures == len(_RETRY_DELAYS):
                        raise
                    time.sleep(_RETRY_DELAYS[failures])
                    failures, query = failures + 1, True
                    continue
                if response.status_code in (200, 201):
                    self._finish(response.json())
                    return sent
                reached = _reached(response)
                if response.status_code != _INCOMPLETE or (not query and reached <= offset):
                    raise self._refused(response)
                if reached > offset:
                    failures = 0
                offset, query = reached, False
                progress(offset, self.artefact.size)

    def _resume(self, session: "requests.Session") -> str | None:
        """The address of an earlier session, or None if the service no longer knows it."""
        try:
            address = self.journal.read_text()
        except FileNotFoundError:
            return None
        if self._query(session, address).status_code in _GONE:
            self.journal.unlink()
            return None
        return address

    def _begin(self) -> str:
        from google.cloud.storage.retry import DEFAULT_RETRY

        blob = self.bucket.blob(self.artefact.name)
        blob.metadata = {MARK: self.artefact.sha256}
        blob.crc32c = self.checksum
        address = blob.create_resumable_upload_session(
            content_type="application/gzip",
            size=self.artefact.size,
            checksum=None,
            if_generation_match=0,
            retry=DEFAULT_RETRY.with_timeout(_TIMEOUT),
        )
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        self.journal.unlink(missing_ok=True)
        userfile.write_new(self.journal, address.encode(), 0o600)
        return address

    def _query(self, session: "requests.Session", address: str) -> "requests.Response":
        return self._put(session, address, f"bytes */{self.artefact.size}", b"")

    def _send(self, session: "requests.Session", address: str, offset: int) -> "requests.Response":
        chunk = os.pread(self.file, _CHUNK, offset)
        return self._put(session, address, f"bytes {offset}-{offset + len(chunk) - 1}/{self.artefact.size}", chunk)

    def _put(self, session: "requests.Session", address: str, content_range: str, chunk: bytes) -> "requests.Response":
        response = session.put(
            address, data=chunk, headers={"Content-Range": content_range}, timeout=_TIMEOUT, allow_redirects=False
        )
        if response.status_code in _BUSY:
            response.raise_for_status()
        return response

    def _refused(self, response: "requests.Response") -> PublishError:
        """The error for a wrong checksum or an expired session, neither of which can be resumed."""
        self.journal.unlink(missing_ok=True)
        return PublishError(
            f"The bucket {self.bucket.name} rejected {self.artefact.name}: {response.status_code} {_reason(response)}.",
            hint="Run the same command again; the upload starts over.",
        )

    def _finish(self, found: dict[str, Any]) -> None:
        self.journal.unlink(missing_ok=True)
        if (int(found["size"]), found["crc32c"]) != (self.artefact.size, self.checksum):
            raise PublishError(
                f"{self.artefact.name} in {self.bucket.name} differs from what was sent (sent: CRC32C {self.checksum}, "
                f"{self.artefact.size} bytes; found: {found['crc32c']}, {found['size']} bytes).",
                hint="Delete the object and run the same command again.",
            )


def _reached(response: "requests.Response") -> int:
    """The number of bytes that the service has kept."""
    _, _, last = response.headers.get("Range", "").rpartition("-")
    known = decimal(last)
    reached = 0 if known is None else known + 1
    return 0 if reached < _UNIT else reached


def _reason(response: "requests.Response") -> str:
    return response.text.strip().partition("\n")[0][:200] or response.reason


def _checksum(file: int, size: int) -> str:
    """CRC32C as the service writes it: base64 of four bytes."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    for offset in range(0, size, _CHUNK):
        checksum.update(os.pread(file, _CHUNK, offset))
    return b64encode(checksum.digest()).decode()


def _journal(url: str, artefact: Artefact) -> Path:
    named = hashlib.sha256(json.dumps([url, artefact.sha256]).encode()).hexdigest()
    return cache.root() / "publish" / named


def _conflict(url: str) -> PublishError:
    return PublishError(f"{url} exists and is not this image.", hint="Delete it, or use another bucket.")


def _refuse_public(bucket: "Bucket") -> None:
    prevention = bucket.iam_configuration.public_access_prevention
    if prevention != "enforced":
        raise PublishError(
            f"The bucket gs://{bucket.name} could be made public (public access prevention: {prevention!r}).",
            hint=f"Run: gcloud storage buckets update gs://{bucket.name} --public-access-prevention",
        )


@contextmanager
def _translated_errors(bucket: str, url: str) -> Generator[None, None, None]:
    """Turn errors of the service and its client into errors with a hint."""
    import requests
    from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (requests.exceptions.RequestException, RetryError, TransportError) as error:
        raise StorageUnreachableError(
            f"Google Cloud Storage does not respond: {error}", hint="Run the same command again to resume."
        ) from error
    except (GoogleAuthError, Unauthorized) as error:
        raise StorageRefusedError(
            f"Google Cloud rejected the credentials: {error}",
            hint="Sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
        ) from error
    except Forbidden as error:
        raise StorageRefusedError(
            f"No permission to write to {bucket} ({error.message}).",
            hint="Ask the bucket's owner for the roles Storage Object User and Storage Legacy Bucket Reader on it.",
        ) from error
    except NotFound as error:
        raise PublishError(
            f"The bucket {bucket} does not exist.",
            hint="`invoke registry.up` creates it; `invoke registry.list` shows the destination of each registry.",
        ) from error
    except GoogleAPICallError as error:
        raise PublishError(f"Google Cloud Storage refused {url}: {error.message}.") from error
