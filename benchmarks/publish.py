"""Time, memory and bytes of ``invoke image.publish`` to Azurite and to an emulator of Google's storage."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.image import FLAVOR
from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult, invoke

if TYPE_CHECKING:
    from tests.image.publish.azurite import Azurite
    from tests.image.publish.publish_verb import VerbRun

_FOLDER = CHECKOUT / "out" / "image" / FLAVOR
_MEGABYTE = 1_000_000
_CONTAINER = "images"


def measure(repeat: int) -> list[BenchmarkResult]:
    """Time for an existing image, bytes sent for a new one, and peak memory for a disk of 4 GiB."""
    try:
        # The emulators belong to the tests; `make emulators` installs them.
        from tests.image.publish.azurite import azurite
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"The module {error.name} is not installed.", hint="Install it with `make azure gcp emulators`."
        ) from error
    invoke("image.build", "--flavor", FLAVOR)
    with tempfile.TemporaryDirectory() as folder, azurite(Path(folder)) as azure:
        azure.client(_CONTAINER).create_container()
        return [*_azure(azure, repeat), *_google(repeat), _memory(azure, Path(folder))]


def _azure(azure: "Azurite", repeat: int) -> list[BenchmarkResult]:
    from image.formats import sparse
    from tests.image.publish.managed_identity import managed_identity
    from tests.image.publish.publish_verb import publish
    from tests.image.publish.tcp_proxy import tcp_proxy

    disk = _FOLDER / "disk.vhd"
    with disk.open("rb") as file:
        pages = sum(one.size for one in sparse.file_extents(file.fileno(), disk.stat().st_size, 512))
    with managed_identity() as environment, tcp_proxy(azure.port) as proxy:
        words = ("--to", "azure", "--destination", azure.url(_CONTAINER, proxy.port), "--image", FLAVOR)
        environment |= {"REQUESTS_CA_BUNDLE": str(azure.authority)}
        _done(publish(*words, **environment))
        more = (proxy.sent - pages) / pages * 100
        values = tuple(_done(publish(*words, **environment)).seconds for _ in range(repeat))
    return [
        BenchmarkResult("bytes on the wire in addition to non-zero pages", (more,), "%", 5, f"{pages} bytes of pages"),
        BenchmarkResult("`image.publish --to azure`, existing image", values, "s", 2, "wall time"),
    ]


def _google(repeat: int) -> list[BenchmarkResult]:
    from gcp_storage_emulator.server import create_server
    from google.cloud.storage import Client

    from tests.image.publish.publish_verb import publish

    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    try:
        os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{server._api._httpd.server_address[1]}"
        bucket = Client(project="any").create_bucket(_CONTAINER)
        bucket.iam_configuration.public_access_prevention = "enforced"
        bucket.patch()
        words = ("--to", "gcp", "--destination", f"gs://{_CONTAINER}", "--image", FLAVOR)
        _done(publish(*words))
        values = tuple(_done(publish(*words)).seconds for _ in range(repeat))
    finally:
        del os.environ["STORAGE_EMULATOR_HOST"]
        server.stop()
    return [BenchmarkResult("`image.publish --to gcp`, existing image", values, "s", 2, "wall time")]


def _memory(azure: "Azurite", folder: Path) -> BenchmarkResult:
    from tests.image.publish.managed_identity import managed_identity
    from tests.image.publish.publish_verb import publish
    from tests.image.publish.sparse_disk import LARGE, sparse_image

    sparse_image(folder / "large", LARGE)
    words = ("--to", "azure", "--destination", azure.url(_CONTAINER), "--image", folder / "large")
    with managed_identity() as environment:
        done = _done(publish(*words, REQUESTS_CA_BUNDLE=str(azure.authority), **environment))
    most = done.memory / _MEGABYTE
    return BenchmarkResult("memory to publish a disk of 4 GiB", (most,), "MB", 200, "VmHWM; 96 MiB of it are not zero")


def _done(done: "VerbRun") -> "VerbRun":
    if done.code:
        raise BenchmarkError(f"`image.publish` ended with status {done.code}.\n{done.err}")
    return done
