"""`invoke image.publish` in a subprocess: credentials, messages, memory; and when the clouds' SDKs are loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud.storage import Client

from image.build.source import CHECKOUT
from image.publish.artefact import MARK
from image.publish.naming import blob_name
from tests.image.publish.azurite import Azurite
from tests.image.publish.managed_identity import managed_identity
from tests.image.publish.publish_verb import publish
from tests.image.publish.sparse_disk import LARGE, sparse_image


def test_disk_of_4_gib_is_published_in_little_memory(azure: Azurite, tmp_path: Path) -> None:
    """Uses a managed identity, which DefaultAzureCredential finds. The second call sends nothing."""
    manifest = sparse_image(tmp_path / "image", LARGE)
    azure.client("large").create_container()
    words = ("--to", "azure", "--destination", azure.url("large"), "--image", tmp_path / "image", "--json")
    with managed_identity() as environment:
        environment |= {"REQUESTS_CA_BUNDLE": str(azure.authority)}
        done, again = publish(*words, **environment), publish(*words, **environment)
    disk = manifest.outputs["disk.vhd"]
    name = blob_name("base", manifest.digest().hex(), ".vhd")
    sent = json.loads(done.out)["sent"] if done.code == 0 else 0

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {
        "url": f"{azure.url('large')}/{name}",
        "sha256": disk.sha256,
        "size": disk.size,
        "sent": sent,
    }
    assert json.loads(again.out)["sent"] == 0
    assert sent < (96 << 20) * 1.05
    assert done.memory < 200_000_000
    properties = azure.client("large").get_blob_client(name).get_blob_properties()
    assert (properties.size, properties.metadata) == (disk.size, {MARK: disk.sha256})


def test_tar_is_published_to_google(google: int, tmp_path: Path) -> None:
    manifest = sparse_image(tmp_path / "image", 32)
    bucket = Client(project="any").create_bucket("images")
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()

    done = publish("--to", "gcp", "--destination", "gs://images", "--image", tmp_path / "image")

    name = blob_name("base", manifest.digest().hex(), ".tar.gz")
    assert (done.code, done.out, done.err) == (0, f"The image is at gs://images/{name} (0.0 MB sent).\n", "")
    assert bucket.blob(name).download_as_bytes() == b"tar"


def test_invalid_token_is_reported_in_one_sentence_with_a_hint(azure: Azurite, tmp_path: Path) -> None:
    sparse_image(tmp_path / "image", 32)
    words = ("--to", "azure", "--destination", azure.url("any"), "--image", tmp_path / "image")
    with managed_identity("https://somewhere.else") as environment:
        done = publish(*words, REQUESTS_CA_BUNDLE=str(azure.authority), **environment)

    assert done.code == 4
    assert len(done.err.splitlines()) == 2


def test_missing_identity_is_queried_only_once(azure: Azurite, tmp_path: Path) -> None:
    """The storage client would retry it with growing delays, because it treats every failure as a network error."""
    sparse_image(tmp_path / "image", 32)
    asked: list[str] = []
    with managed_identity(None, asked) as environment:
        done = publish(
            *("--to", "azure", "--destination", azure.url("any"), "--image", tmp_path / "image"), **environment
        )

    assert (done.code, len(asked)) == (2, 1)
    assert "az login" in done.err


@pytest.mark.parametrize(
    ("to", "destination", "says"),
    [
        ("aws", "s3://images", "--to must be azure or gcp, not 'aws'"),
        ("azure", "gs://images", "Invalid Azure container"),
        ("azure", "http://account.blob.core.windows.net/images", "Invalid Azure container"),
        ("azure", "https://account.blob.core.windows.net/", "Invalid Azure container"),
        ("azure", "https://account.blob.core.windows.net/images?sig=secret", "Invalid Azure container"),
        ("gcp", "https://images", "Invalid bucket"),
        ("gcp", "gs://images/folder", "Invalid bucket"),
    ],
)
def test_invalid_destination_is_an_input_error(tmp_path: Path, to: str, destination: str, says: str) -> None:
    sparse_image(tmp_path / "image", 32)
    done = publish("--to", to, "--destination", destination, "--image", tmp_path / "image")

    assert done.code == 2
    assert says in done.err


def test_missing_image_is_an_input_error(tmp_path: Path) -> None:
    words = ("--to", "azure", "--destination", "https://account.blob.core.windows.net/images")
    done = publish(*words, "--image", tmp_path / "nope")

    assert done.code == 2
    assert "The image manifest" in done.err and "does not exist" in done.err


def test_error_without_credentials_says_how_to_sign_in(tmp_path: Path) -> None:
    """Without the clouds' programs, files or variables. No request is sent."""
    sparse_image(tmp_path / "image", 32)
    nowhere = {"HOME": str(tmp_path), "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential", "NO_GCE_CHECK": "true"}
    azure = publish(
        *("--to", "azure", "--destination", "https://account.blob.core.windows.net/images"),
        *("--image", tmp_path / "image"),
        **nowhere,
    )
    google = publish("--to", "gcp", "--destination", "gs://images", "--image", tmp_path / "image", **nowhere)

    assert (azure.code, google.code) == (2, 2)
    assert "az login" in azure.err
    assert "gcloud auth application-default login" in google.err


def test_cloud_sdks_are_loaded_only_when_publishing() -> None:
    program = "import sys, image.publish.gcs, image.publish.pageblob; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=True, capture_output=True, text=True)

    assert [name for name in loaded.stdout.split() if name.partition(".")[0] in ("azure", "google", "requests")] == []
