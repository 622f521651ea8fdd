"""A tar.gz as an object of Google Cloud Storage, in one resumable upload whose checksum the service compares.

Google Cloud, "Resumable uploads": a session has an address of its own, which needs no other credential and is good for
a week; how far it has come the service says. The object appears when it is whole, with the checksum that was announced.
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

from cloister.errors import InputError
from image import cache
from image.publish.artefact import MARK, Artefact, Bar, Progress, Published
from image.publish.errors import NotSignedInError, PublishError, StorageRefusedError, StorageUnreachableError

if TYPE_CHECKING:
    import requests
    from google.cloud.storage import Bucket

# A session keeps whole multiples of this and nothing of the rest.
_UNIT = 256 << 10
_CHUNK = 32 * _UNIT
_TIMEOUT = 60
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before another attempt; begins anew whenever an attempt has brought something over."""

_INCOMPLETE = 308
_GONE = (404, 410)
_BUSY = (408, 429, 500, 502, 503, 504)


def connect(destination: str) -> "Bucket":
    """The bucket ``gs://BUCKET``, by the application default credentials. Raises InputError, also when there are none.

    Nothing is asked of the service yet.
    """
    parts = urlsplit(destination)
    if parts.scheme != "gs" or not parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(f"{destination!r} is no bucket of Google Cloud.", hint="It looks like gs://BUCKET.")
    with warnings.catch_warnings():
        # What their authors plan for other versions of gRPC, which is not used here.
        warnings.filterwarnings("ignore", ".*grpcio", FutureWarning)
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client
    try:
        client = Client(project=None)
    except GoogleAuthError as error:
        raise NotSignedInError(
            "There are no credentials for Google Cloud.",
            hint="Sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
        ) from error
    return client.bucket(parts.netloc)


def publish(artefact: Artefact, bucket: "Bucket", bar: Bar, *, check: bool = False) -> Published:
    """Bring ``artefact`` into ``bucket`` unless it is there; ``check`` compares checksums even then.

    Raises PublishError, StorageRefusedError and StorageUnreachableError; what was sent until then need not be sent
    again.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(_TIMEOUT)
    url = f"gs://{bucket.name}/{artefact.name}"
    with _sentences(f"gs://{bucket.name}", url):
        bucket.reload(retry=retry)
        _refuse_public(bucket)
        found = bucket.get_blob(artefact.name, retry=retry)
        if found is not None:
            if (found.size, (found.metadata or {}).get(MARK)) != (artefact.size, artefact.sha256):
                raise _other(url)
            if check:
                with artefact.open() as file:
                    if found.crc32c != _checksum(file, artefact.size):
                        raise _other(url)
            return Published(url, artefact.sha256, artefact.size, 0)
        with artefact.open() as file, bar("Uploading", artefact.size) as progress:
            upload = _Upload(artefact, file, _checksum(file, artefact.size), bucket, _journal(url, artefact))
            return Published(url, artefact.sha256, artefact.size, upload.run(progress))


@dataclass(frozen=True)
class _Upload:
    """One object's way to the bucket. ``journal`` keeps the session's address, and nothing else is known of it here."""

    artefact: Artefact
    file: int
    checksum: str
    bucket: "Bucket"
    journal: Path

    def run(self, progress: Progress) -> int:
        """Go on where the session is, or begin one; the number of bytes sent."""
        import requests

        with requests.Session() as session:
            known, offset, sent, failures = self._resume(session), 0, 0, 0
            address, ask = known or self._begin(), known is not None
            while True:
                try:
                    if ask:
                        answer = self._ask(session, address)
                    else:
                        sent += min(_CHUNK, self.artefact.size - offset)
                        answer = self._send(session, address, offset)
                except requests.exceptions.RequestException:
                    if failures == len(_PAUSES):
                        raise
                    time.sleep(_PAUSES[failures])
                    failures, ask = failures + 1, True
                    continue
                if answer.status_code in (200, 201):
                    self._finish(answer.json())
                    return sent
                reached = _reached(answer)
                if answer.status_code != _INCOMPLETE or (not ask and reached <= offset):
                    raise self._refused(answer)
                if reached > offset:
                    failures = 0
                offset, ask = reached, False
                progress(offset, self.artefact.size)

    def _resume(self, session: "requests.Session") -> str | None:
        """The address of an earlier attempt's session, if the service still knows it."""
        try:
            address = self.journal.read_text()
        except FileNotFoundError:
            return None
        if self._ask(session, address).status_code in _GONE:
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
        with open(os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(address)
        return address

    def _ask(self, session: "requests.Session", address: str) -> "requests.Response":
        return self._put(session, address, f"bytes */{self.artefact.size}", b"")

    def _send(self, session: "requests.Session", address: str, offset: int) -> "requests.Response":
        chunk = os.pread(self.file, _CHUNK, offset)
        return self._put(session, address, f"bytes {offset}-{offset + len(chunk) - 1}/{self.artefact.size}", chunk)

    def _put(self, session: "requests.Session", address: str, content_range: str, chunk: bytes) -> "requests.Response":
        answer = session.put(
            address, data=chunk, headers={"Content-Range": content_range}, timeout=_TIMEOUT, allow_redirects=False
        )
        if answer.status_code in _BUSY:
            answer.raise_for_status()
        return answer

    def _refused(self, answer: "requests.Response") -> PublishError:
        """The checksum is not the one announced, or the session is over: nothing of it is of use any more."""
        self.journal.unlink(missing_ok=True)
        return PublishError(
            f"The bucket {self.bucket.name} did not take {self.artefact.name}: {answer.status_code} {_reason(answer)}.",
            hint="Do the same again: it begins anew.",
        )

    def _finish(self, found: dict[str, Any]) -> None:
        self.journal.unlink(missing_ok=True)
        if (int(found["size"]), found["crc32c"]) != (self.artefact.size, self.checksum):
            raise PublishError(
                f"{self.bucket.name} holds {self.artefact.name} with the CRC32C {found['crc32c']} and "
                f"{found['size']} bytes, and sent were {self.checksum} and {self.artefact.size}.",
                hint="Delete the object, and do the same again.",
            )


def _reached(answer: "requests.Response") -> int:
    """How many bytes the service keeps."""
    _, _, last = answer.headers.get("Range", "").rpartition("-")
    reached = int(last) + 1 if last else 0
    return 0 if reached < _UNIT else reached


def _reason(answer: "requests.Response") -> str:
    return answer.text.strip().partition("\n")[0][:200] or answer.reason


def _checksum(file: int, size: int) -> str:
    """CRC32C as the service writes it: base64 of its four bytes."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    for offset in range(0, size, _CHUNK):
        checksum.update(os.pread(file, _CHUNK, offset))
    return b64encode(checksum.digest()).decode()


def _journal(url: str, artefact: Artefact) -> Path:
    named = hashlib.sha256(json.dumps([url, artefact.sha256]).encode()).hexdigest()
    return cache.root() / "publish" / named


def _other(url: str) -> PublishError:
    return PublishError(f"{url} is there already, and it is not this image.", hint="Delete it, or name another bucket.")


def _refuse_public(bucket: "Bucket") -> None:
    prevention = bucket.iam_configuration.public_access_prevention
    if prevention != "enforced":
        raise PublishError(
            f"The bucket gs://{bucket.name} can be opened to anybody: its public access prevention is {prevention!r}.",
            hint=f"Enforce it: gcloud storage buckets update gs://{bucket.name} --public-access-prevention",
        )


@contextmanager
def _sentences(bucket: str, url: str) -> Generator[None, None, None]:
    """Say what the service or its client says in one sentence with what to do about it."""
    import requests
    from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (requests.exceptions.RequestException, RetryError, TransportError) as error:
        raise StorageUnreachableError(
            f"Google Cloud Storage does not answer: {error}", hint="Do the same again: it goes on where it stopped."
        ) from error
    except (GoogleAuthError, Unauthorized) as error:
        raise StorageRefusedError(
            f"Google Cloud does not know who you are: {error}",
            hint="Sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
        ) from error
    except Forbidden as error:
        raise StorageRefusedError(
            f"You may not write to {bucket} ({error.message}).",
            hint="Whoever owns it gives you the roles Storage Object User and Storage Legacy Bucket Reader there.",
        ) from error
    except NotFound as error:
        raise PublishError(
            f"There is no bucket {bucket}.",
            hint="The registry makes it: `invoke registry.list` shows the destination of each.",
        ) from error
    except GoogleAPICallError as error:
        raise PublishError(f"Google Cloud Storage refused {url}: {error.message}.") from error
