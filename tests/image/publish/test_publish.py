"""`invoke image.publish` as it is typed: credentials, sentences, memory; and when the clouds' SDKs are loaded."""

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


def test_a_disk_of_4_gib_is_published_in_little_memory(azure: Azurite, tmp_path: Path) -> None:
    """With the token of a machine's identity, as DefaultAzureCredential finds it; once, and not a second time."""
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


def test_the_tar_goes_to_google(google: int, tmp_path: Path) -> None:
    manifest = sparse_image(tmp_path / "image", 32)
    bucket = Client(project="any").create_bucket("images")
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()

    done = publish("--to", "gcp", "--destination", "gs://images", "--image", tmp_path / "image")

    name = blob_name("base", manifest.digest().hex(), ".tar.gz")
    assert (done.code, done.out, done.err) == (0, f"The image is at gs://images/{name} (0.0 MB sent).\n", "")
    assert bucket.blob(name).download_as_bytes() == b"tar"


def test_a_token_that_does_not_hold_is_one_sentence(azure: Azurite, tmp_path: Path) -> None:
    sparse_image(tmp_path / "image", 32)
    words = ("--to", "azure", "--destination", azure.url("any"), "--image", tmp_path / "image")
    with managed_identity("https://somewhere.else") as environment:
        done = publish(*words, REQUESTS_CA_BUNDLE=str(azure.authority), **environment)

    assert done.code == 4
    assert len(done.err.splitlines()) == 2


def test_a_missing_identity_is_not_asked_for_again_and_again(azure: Azurite, tmp_path: Path) -> None:
    """As the storage's client would, with growing pauses: it takes every failure for one of the network."""
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
def test_a_destination_that_is_none_is_the_callers_mistake(
    tmp_path: Path, to: str, destination: str, says: str
) -> None:
    sparse_image(tmp_path / "image", 32)
    done = publish("--to", to, "--destination", destination, "--image", tmp_path / "image")

    assert done.code == 2
    assert says in done.err


def test_an_image_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    words = ("--to", "azure", "--destination", "https://account.blob.core.windows.net/images")
    done = publish(*words, "--image", tmp_path / "nope")

    assert done.code == 2
    assert "The image manifest" in done.err and "does not exist" in done.err


def test_who_is_not_signed_in_anywhere_is_told_how(tmp_path: Path) -> None:
    """With neither of the clouds' programs, files or variables; nobody is asked over the network."""
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


def test_no_sdk_of_a_cloud_is_loaded_before_something_is_published() -> None:
    program = "import sys, image.publish.gcs, image.publish.pageblob; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=True, capture_output=True, text=True)

    assert [name for name in loaded.stdout.split() if name.partition(".")[0] in ("azure", "google", "requests")] == []
