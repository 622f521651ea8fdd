"""Upload of a tar.gz: resumed after an interruption, and an object appears only if it is complete and correct."""

import hashlib
import os
import random
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client

from image.publish import gcs
from image.publish.artefact import MARK, Artefact, Progress
from image.publish.errors import PublishError, StorageRefusedError, StorageUnreachableError
from tests.image.publish.tcp_proxy import tcp_proxy

NAME = "images"
SIZE = (20 << 20) + 100


def silent(_what: str, _size: int) -> nullcontext[Progress]:
    return nullcontext(lambda done, total: None)


@pytest.fixture
def tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefact:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = random.Random(1).randbytes(SIZE)
    path = tmp_path / "disk.tar.gz"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return Artefact(f"cloister-base-{digest}.tar.gz", path, digest, SIZE)


@pytest.fixture
def bucket(google: int) -> Bucket:
    """A bucket with enforced public access prevention."""
    made = reached(google).client.create_bucket(NAME)
    made.iam_configuration.public_access_prevention = "enforced"
    made.patch()
    return made


def reached(port: int, name: str = NAME) -> Bucket:
    """The bucket, through the server or proxy on ``port``."""
    options = {"api_endpoint": f"http://127.0.0.1:{port}"}
    return Client(project="any", credentials=AnonymousCredentials(), client_options=options).bucket(name)


def read(bucket: Bucket, tar: Artefact) -> bytes | None:
    """The object's contents, by name, because the emulator's links use the proxy that it was created through."""
    if bucket.get_blob(tar.name) is None:
        return None
    address = f"{bucket.client.api_endpoint}/download/storage/v1/b/{bucket.name}/o/{tar.name}?alt=media"
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def journals(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache/cloister/publish").glob("*"))


def test_object_contains_the_tar_and_has_its_digest_as_metadata(bucket: Bucket, tar: Artefact, tmp_path: Path) -> None:
    done = gcs.publish(tar, bucket, silent)
    found = bucket.get_blob(tar.name)

    assert (done.url, done.sent) == (f"gs://images/{tar.name}", SIZE)
    assert read(bucket, tar) == tar.path.read_bytes()
    assert found is not None
    assert (found.metadata, found.size) == ({MARK: tar.sha256}, SIZE)
    assert journals(tmp_path) == []


def test_existing_image_is_not_sent_again(google: int, bucket: Bucket, tar: Artefact) -> None:
    gcs.publish(tar, bucket, silent)
    assert gcs.publish(tar, bucket, silent, check=True).sent == 0
    tar.path.unlink()
    with tcp_proxy(google) as proxy:
        assert gcs.publish(tar, reached(proxy.port), silent).sent == 0
    assert proxy.sent < 10_000


def test_upload_survives_a_connection_that_breaks_once(google: int, bucket: Bucket, tar: Artefact) -> None:
    with tcp_proxy(google, SIZE // 2, recovers=True) as proxy:
        gcs.publish(tar, reached(proxy.port), silent)

    assert read(bucket, tar) == tar.path.read_bytes()
    assert proxy.sent < SIZE + (9 << 20)


def test_interrupted_upload_resumes_where_the_service_stopped(
    google: int, bucket: Bucket, tar: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's address is kept locally; only the service knows its progress."""
    monkeypatch.setattr(gcs, "_RETRY_DELAYS", ())
    with tcp_proxy(google, SIZE * 3 // 4) as proxy, pytest.raises(StorageUnreachableError, match="does not respond"):
        gcs.publish(tar, reached(proxy.port), silent)
    assert read(bucket, tar) is None
    (journal,) = journals(tmp_path)
    assert journal.stat().st_mode & 0o777 == 0o600
    # The proxy's port is closed, but the session still exists in the emulator.
    journal.write_text(journal.read_text().replace(f":{proxy.port}/", f":{google}/"))

    done = gcs.publish(tar, bucket, silent)

    assert 0 < done.sent <= SIZE // 2
    assert read(bucket, tar) == tar.path.read_bytes()
    assert journals(tmp_path) == []


def test_upload_with_an_expired_session_starts_over(
    google: int, bucket: Bucket, tar: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "_RETRY_DELAYS", ())
    with tcp_proxy(google, SIZE // 2) as proxy, pytest.raises(StorageUnreachableError):
        gcs.publish(tar, reached(proxy.port), silent)
    (journal,) = journals(tmp_path)
    journal.write_text(f"http://127.0.0.1:{google}/upload/storage/v1/b/images/o?uploadType=resumable&upload_id=gone")

    assert gcs.publish(tar, bucket, silent).sent == SIZE
    assert read(bucket, tar) == tar.path.read_bytes()


def test_content_that_changes_in_transit_is_rejected(bucket: Bucket, tar: Artefact, tmp_path: Path) -> None:
    """The service checks the announced checksum."""

    @contextmanager
    def spoiling(_what: str, _size: int) -> Iterator[Progress]:
        def progress(done: int, _total: int) -> None:
            with tar.path.open("r+b") as file:
                file.seek(done + 100)
                file.write(b"spoilt")

        yield progress

    with pytest.raises(PublishError, match="rejected"):
        gcs.publish(tar, bucket, spoiling)
    assert read(bucket, tar) is None
    assert journals(tmp_path) == []


def test_a_file_that_is_not_the_image_is_not_published(bucket: Bucket, tar: Artefact) -> None:
    tar.path.write_bytes(b"other")

    with pytest.raises(PublishError, match="SHA-256 differs"):
        gcs.publish(tar, bucket, silent)
    assert read(bucket, tar) is None


def test_another_object_of_that_name_is_not_changed(bucket: Bucket, tar: Artefact) -> None:
    bucket.blob(tar.name).upload_from_string(b"other")

    with pytest.raises(PublishError, match="exists and is not this image"):
        gcs.publish(tar, bucket, silent)
    assert read(bucket, tar) == b"other"


def test_check_finds_a_marked_object_with_another_content(bucket: Bucket, tar: Artefact) -> None:
    blob = bucket.blob(tar.name)
    blob.metadata = {MARK: tar.sha256}
    blob.upload_from_string(bytes(SIZE))

    assert gcs.publish(tar, bucket, silent).sent == 0
    with pytest.raises(PublishError, match="is not this image"):
        gcs.publish(tar, bucket, silent, check=True)


def test_missing_bucket_is_named(google: int, tar: Artefact) -> None:
    with pytest.raises(PublishError, match=r"The bucket gs://absent does not exist\."):
        gcs.publish(tar, reached(google, "absent"), silent)


def test_bucket_without_enforced_public_access_prevention_is_rejected(google: int, tar: Artefact) -> None:
    made = reached(google).client.create_bucket("open")

    with pytest.raises(PublishError, match="could be made public"):
        gcs.publish(tar, made, silent)
    assert read(made, tar) is None


@pytest.mark.parametrize(("status", "says"), [(401, "rejected the credentials"), (403, "No permission to write")])
def test_rejected_credentials_are_reported(status: int, says: str, tar: Artefact) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(StorageRefusedError, match=says):
            gcs.publish(tar, reached(server.server_address[1]), silent)
    finally:
        server.shutdown()
        server.server_close()


def test_google_libraries_print_no_warnings(tmp_path: Path) -> None:
    """They warn about other versions of a library that is not used here."""
    code = (
        "from image.publish import gcs, errors\n"
        "try: gcs.connect('gs://images')\n"
        "except errors.NotSignedInError: print('not signed in')\n"
    )
    absent = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none"),
    }
    done = subprocess.run([sys.executable, "-c", code], check=False, env=absent, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("not signed in\n", "")
