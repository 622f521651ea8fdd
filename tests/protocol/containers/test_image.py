"""An archive's image for the machine is found however tools write it; everything else is refused in a sentence."""

import copy
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloister.errors import InputError
from cloister.protocol.containers import image as images
from cloister.protocol.containers import limits, unpacking
from cloister.protocol.containers.unpacking import CheckedImage
from tests.oci_archives import ATTESTATION, COMPRESSIONS, DOCKER, OCI, PROGRAM, Entry, Layout, folder, simple, tar

LAYER = [folder("bin"), Entry("bin/run", PROGRAM, mode=0o755)]
CONFIG = {"Entrypoint": ["/bin/run"]}
HELM = "application/vnd.cncf.helm.config.v1+json"
AMD64 = {"architecture": "amd64", "os": "linux"}
ARM64 = {"architecture": "arm64", "os": "linux", "variant": "v8"}


def check(layout: Layout, tmp_path: Path, prefix: str = "") -> CheckedImage:
    with layout.write(tmp_path / "image.tar", prefix).open("rb") as stream:
        return unpacking.check(stream)


def refusal(layout: Layout, tmp_path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        check(layout, tmp_path)
    assert caught.value.message.isprintable()
    assert caught.value.exit_code == 2
    return caught.value


def good(layout: Layout, **more: Any) -> dict[str, Any]:
    return layout.image([tar(LAYER)], CONFIG, **more)


def arm(layout: Layout, **more: Any) -> dict[str, Any]:
    return layout.image([tar(LAYER)], CONFIG, config_more={"architecture": "arm64"}, **more)


def attestation(layout: Layout) -> dict[str, Any]:
    """As BuildKit writes one beside an image."""
    statement = layout.document({"_type": "https://in-toto.io/Statement/v0.1"}, "application/vnd.in-toto+json")
    config = layout.document({"architecture": "unknown", "os": "unknown"}, f"{OCI}config.v1+json")
    manifest = {"schemaVersion": 2, "config": config, "layers": [statement]}
    platform = {"architecture": "unknown", "os": "unknown"}
    return layout.document(manifest, f"{OCI}manifest.v1+json", annotations=ATTESTATION, platform=platform)


def one(layout: Layout) -> list[dict[str, Any]]:
    return [good(layout)]


FORMS: dict[str, Callable[[Layout], list[dict[str, Any]]]] = {
    "skopeo": one,
    "with a platform": lambda layout: [good(layout, platform=AMD64)],
    "docker save, containerd store": lambda layout: [
        layout.index([good(layout, platform=AMD64), attestation(layout)], annotations={"io.containerd.image.name": "x"})
    ],
    "several platforms": lambda layout: [
        layout.index([arm(layout, platform=ARM64), good(layout, platform=AMD64), attestation(layout)])
    ],
    "docker's media types": lambda layout: [layout.index([good(layout, family=DOCKER, platform=AMD64)], DOCKER)],
    "two tags of one image": lambda layout: [{**good(layout), "annotations": {"org.opencontainers.image.ref.name": tag}}
                                             for tag in ("a", "b")],
    "no platform, other processor beside it": lambda layout: [arm(layout), good(layout)],
    "a signature beside it": lambda layout: [
        good(layout),
        layout.document(
            {"schemaVersion": 2, "layers": [], "config": layout.document({}, HELM)}, f"{OCI}manifest.v1+json"
        ),
    ],
    "for newer processors, too": lambda layout: [
        layout.index([good(layout, platform=AMD64),
                      layout.image([tar([*LAYER, Entry("v3")])], CONFIG, platform={**AMD64, "variant": "v3"})])
    ],
    "index in an index": lambda layout: [layout.index([layout.index([good(layout)])])],
}  # fmt: skip


@pytest.mark.parametrize("form", list(FORMS))
def test_image_for_the_machine_is_found(tmp_path: Path, form: str) -> None:
    layout, alone = Layout(), Layout()
    layout.manifests = FORMS[form](layout)
    family = DOCKER if "docker's" in form else OCI
    expected = good(alone, family=family)

    assert f"sha256:{check(layout, tmp_path).digest}" == expected["digest"]


@pytest.mark.parametrize("compression", list(COMPRESSIONS))
def test_layers_are_read_in_every_compression(tmp_path: Path, compression: str) -> None:
    found = check(simple([LAYER], CONFIG, compression=compression), tmp_path)

    assert found.process.args == ("/bin/run",)
    assert found.size == check(simple([LAYER], CONFIG), tmp_path).size


def test_members_may_begin_with_a_dot(tmp_path: Path) -> None:
    assert check(simple([LAYER], CONFIG), tmp_path, "./")


def test_layer_in_several_streams_is_read_to_its_end(tmp_path: Path) -> None:
    """As estargz and zstd:chunked write them: many streams, and frames without content between them."""
    layout, data = Layout(), tar(LAYER)
    for name, compress, extra in (
        ("+gzip", gzip.compress, b""),
        ("+zstd", COMPRESSIONS["+zstd"], b"P*M\x18\4\0\0\0abcd"),
    ):
        manifest = json.loads(layout.files[_path(layout.image([data], CONFIG, compression=name))])
        blob = extra + compress(data[:700]) + extra + compress(data[700:]) + extra
        manifest["layers"] = [layout.blob(blob, f"{OCI}layer.v1.tar{name}")]
        layout.manifests = [layout.document(manifest, f"{OCI}manifest.v1+json")]
        assert check(layout, tmp_path).process.args == ("/bin/run",)


def _path(descriptor: dict[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def changed(change: Callable[[Layout, dict[str, Any], dict[str, Any]], Any]) -> Layout:
    """An archive in whose manifest and configuration something was changed, with matching digests."""
    layout = simple([LAYER], CONFIG)
    manifest = json.loads(layout.files[_path(layout.manifests[0])])
    config = json.loads(layout.files[_path(manifest["config"])])
    before = copy.deepcopy((manifest["config"], config))
    change(layout, manifest, config)
    if (manifest["config"], config) != before and manifest["config"] == before[0]:
        manifest["config"] = layout.document(config, f"{OCI}config.v1+json")
    layout.manifests = [layout.document(manifest, f"{OCI}manifest.v1+json")]
    return layout


def put(part: str, *path: str | int, value: Any) -> Callable[[Layout, dict[str, Any], dict[str, Any]], None]:
    """A change of one member."""

    def change(layout: Layout, manifest: dict[str, Any], config: dict[str, Any]) -> None:
        place: Any = {"manifest": manifest, "config": config}[part]
        for step in path[:-1]:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        place[path[-1]] = value

    return change


CHANGES = {
    "entrypoint as text": (put("config", "config", "Entrypoint", value="/bin/run"), "Entrypoint must be a list"),
    "entrypoint of numbers": (put("config", "config", "Entrypoint", value=[1]), "Entrypoint.0 must be text"),
    "entrypoint with a zero": (put("config", "config", "Entrypoint", value=["a\0b"]), "none of them zero"),
    "command as an object": (put("config", "config", "Cmd", value={}), "Cmd must be a list"),
    "surrogate": (put("config", "config", "Cmd", value=["\ud800"]), "unpaired surrogate"),
    "environment as an object": (put("config", "config", "Env", value={"A": "b"}), "Env must be a list"),
    "environment without =": (put("config", "config", "Env", value=["A"]), "Env.0 must be NAME=VALUE"),
    "environment without a name": (put("config", "config", "Env", value=["=b"]), "Env.0 must be NAME=VALUE"),
    "too many variables": (put("config", "config", "Env", value=["A=b"] * 5000), "at most 4096 entries"),
    "a variable that is too long": (put("config", "config", "Env", value=["A=" + "b" * 140_000]), "at most 131071"),
    "user in other letters": (put("config", "config", "user", value="1000"), "in these letters, and once: found user"),
    "user in two spellings": (
        lambda layout, manifest, config: config["config"].update({"User": "", "USER": "1000"}), "found User, USER"),
    "letters of another script that fold": (put("config", "o\u017f", value="linux"), "once: found os, o\u017f"),
    "layers in other letters": (put("manifest", "Layers", value=[]), "in these letters"),
    "null in the environment": (put("config", "config", "Env", value=[None]), "Env.0 must be text"),
    "null as a system": (put("config", "os", value=None), "os must be text"),
    "null as a layer": (put("manifest", "layers", value=[None]), "must be an object"),
    "user as a number": (put("config", "config", "User", value=1000), "User must be text"),
    "folder as a list": (put("config", "config", "WorkingDir", value=["/"]), "WorkingDir must be text"),
    "relative folder": (put("config", "config", "WorkingDir", value="app"), "must be an absolute path"),
    "folder that leads out": (put("config", "config", "WorkingDir", value="/../x"), "without .."),
    "volumes as a list": (put("config", "config", "Volumes", value=["/data"]), "Volumes must be an object"),
    "config as a list": (put("config", "config", value=[]), "config must be an object"),
    "no root": (put("config", "rootfs", value=None), "type must be text"),
    "root of another type": (put("config", "rootfs", "type", value="tree"), 'must be "layers"'),
    "diff_ids as text": (put("config", "rootfs", "diff_ids", value="sha256:0"), "must be a list"),
    "too few diff_ids": (put("config", "rootfs", "diff_ids", value=[]), "has 1 layers, but its configuration names 0"),
    "diff_id of another form": (put("config", "rootfs", "diff_ids", value=["sha512:" + "0" * 128]), "be a SHA-256"),
    "diff_id of another layer": (put("config", "rootfs", "diff_ids", value=["sha256:" + "0" * 64]), "is damaged"),
    "another processor": (put("config", "architecture", value="arm64"), "no image for linux/amd64; it has linux/arm64"),
    "another system": (put("config", "os", value="windows"), "it has windows/amd64"),
    "processor as a number": (put("config", "architecture", value=64), "architecture must be text"),
    "unknown layer": (put("manifest", "layers", 0, "mediaType", value="text/plain"), "unknown type (text/plain)"),
    "encrypted layer": (
        put("manifest", "layers", 0, "mediaType", value=f"{OCI}layer.v1.tar+gzip+encrypted"), "is encrypted"),
    "layer size": (put("manifest", "layers", 0, "size", value=3), "bytes instead of 3"),
    "layer size as text": (put("manifest", "layers", 0, "size", value="3"), "must be a number of bytes"),
    "negative size": (put("manifest", "layers", 0, "size", value=-1), "must be a number of bytes"),
    "true as a size": (put("manifest", "layers", 0, "size", value=True), "must be a number of bytes"),
    "missing layer": (put("manifest", "layers", 0, "digest", value="sha256:" + "0" * 64), "is not in the archive"),
    "digest that leads out": (put("manifest", "layers", 0, "digest", value="sha256:../../../x"), "must be a SHA-256"),
    "upper-case digest": (put("manifest", "layers", 0, "digest", value="sha256:" + "A" * 64), "must be a SHA-256"),
    "layers as an object": (put("manifest", "layers", value={}), "must be a list"),
    "too many layers": (put("manifest", "layers", value=[{}] * 600), "at most 512 entries"),
    "a layer that is no object": (put("manifest", "layers", value=["x"]), "must be an object"),
    "no config": (put("manifest", "config", value=None), "mediaType must be text"),
    "helm chart": (
        put("manifest", "config", "mediaType", value=HELM), "other than an image"),
    "another version": (put("manifest", "schemaVersion", value=1), "schemaVersion must be 2"),
    "a manifest that says it is an index": (put("manifest", "mediaType", value=f"{OCI}index.v1+json"), "must be that"),
    "a name that steers a terminal": (put("manifest", "layers", 0, "mediaType", value="\x1b[2J"), "unknown type"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CHANGES))
def test_documents_are_strict(tmp_path: Path, case: str) -> None:
    change, said = CHANGES[case]

    assert said in refusal(changed(change), tmp_path).message


@pytest.mark.parametrize("compression", list(COMPRESSIONS))
@pytest.mark.parametrize("said", ["layer.v1.tar", "layer.v1.tar+gzip", "layer.v1.tar+zstd"])
def test_layers_are_compressed_as_they_begin_and_not_as_their_type_says(
    tmp_path: Path, compression: str, said: str
) -> None:
    """docker and podman read them so, and skopeo writes uncompressed layers with the type of compressed ones."""

    def change(layout: Layout, manifest: dict[str, Any], config: dict[str, Any]) -> None:
        data = COMPRESSIONS[compression](tar(LAYER))
        manifest["layers"] = [{**layout.blob(data, ""), "mediaType": f"{OCI}{said}"}]

    assert check(changed(change), tmp_path)


def test_what_is_not_used_may_be_anything(tmp_path: Path) -> None:
    def change(layout: Layout, manifest: dict[str, Any], config: dict[str, Any]) -> None:
        config["config"] |= {"Labels": {"a": 1}, "Healthcheck": {"Interval": 1.5}, "StopSignal": "SIGTERM", "Cmd": None}
        config |= {"moby.buildkit.cache.v0": "x", "history": "none", "container_config": {"Tty": False}}
        manifest["annotations"] = None

    assert check(changed(change), tmp_path)


def document(name: str, data: bytes) -> Layout:
    layout = simple([LAYER], CONFIG)
    layout.files[name] = data
    return layout


def without(*names: str) -> Layout:
    layout = simple([LAYER], CONFIG)
    for name in names:
        del layout.files[name]
    return layout


def damaged(place: str) -> Layout:
    layout = simple([LAYER], CONFIG)
    manifest = json.loads(layout.files[_path(layout.manifests[0])])
    name = {"manifest": _path(layout.manifests[0]), "config": _path(manifest["config"]),
            "layer": _path(manifest["layers"][0])}[place]  # fmt: skip
    data = layout.files[name]
    # The size stays the same.
    layout.files[name] = gzip.compress(tar([*LAYER]), mtime=1)[: len(data)] if place == "layer" else data[:-1] + b" "
    return layout


def nested(depth: int) -> Layout:
    layout = Layout()
    inner = good(layout)
    for _ in range(depth):
        inner = layout.index([inner])
    layout.manifests = [inner]
    return layout


def several() -> Layout:
    layout = Layout()
    layout.manifests = [good(layout), layout.image([tar([*LAYER, Entry("other")])], CONFIG)]
    return layout


def many() -> Layout:
    layout = Layout()
    layout.manifests = [arm(layout, platform=ARM64)] * 257
    return layout


ARCHIVES = {
    "no oci-layout": (lambda: without("oci-layout"), "not in the OCI image layout"),
    "another layout": (lambda: document("oci-layout", b'{"imageLayoutVersion": "2.0.0"}'), "must be 1.0.0"),
    "layout that is no JSON": (lambda: document("oci-layout", b"{"), "is not JSON"),
    "layout with a member twice": (lambda: document("oci-layout", b'{"a": 1, "a": 2}'), "has a member twice"),
    "layout that is a list": (lambda: document("oci-layout", b"[]"), "must be an object"),
    "deep layout": (lambda: document("oci-layout", b"[" * 100_000), "is not JSON"),
    "large layout": (lambda: document("oci-layout", b" " * (limits.MAX_DOCUMENT + 1)), "more than 4194304"),
    "changed manifest": (lambda: damaged("manifest"), "is damaged: expected SHA-256"),
    "changed config": (lambda: damaged("config"), "is damaged: expected SHA-256"),
    "changed layer": (lambda: damaged("layer"), "is damaged: expected SHA-256"),
    "several images": (several, "has 2 images for linux/amd64"),
    "no image": (Layout, "has no image for linux/amd64."),
    "too deep": (lambda: nested(6), "more than 4 indexes in one another"),
    "too many manifests": (many, "at most 256 entries"),
}


@pytest.mark.parametrize("case", list(ARCHIVES))
def test_archives_that_hold_no_image_are_refused(tmp_path: Path, case: str) -> None:
    make, said = ARCHIVES[case]

    assert said in refusal(make(), tmp_path).message


def test_indexes_may_lie_in_one_another_up_to_the_limit(tmp_path: Path) -> None:
    assert check(nested(limits.MAX_INDEXES - 1), tmp_path)


def test_archive_of_older_dockers_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """As docker before 25 and `podman save` write it."""
    layout = Layout(files={"manifest.json": b"[]", "0123.json": b"{}", "0123/layer.tar": b""})
    path = layout.write(tmp_path / "image.tar")
    with tarfile.open(path) as archive:
        kept = [(member, archive.extractfile(member).read()) for member in archive if member.name != "index.json"]
    with tarfile.open(path, "w") as archive:
        for member, data in kept:
            archive.addfile(member, io.BytesIO(data))
    with path.open("rb") as stream, pytest.raises(InputError) as caught:
        unpacking.check(stream)

    assert "before version 25" in caught.value.message
    assert "--format oci-archive" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a tar"),
        (b"\x7fELF" + bytes(1000), "not a tar"),
        (gzip.compress(bytes(1024), mtime=0), "compressed as a whole"),
        (b"(\xb5/\xfd" + bytes(600), "compressed as a whole"),
        (b"\xfd7zXZ\0" + bytes(600), "compressed as a whole"),
        (bytes(512), "truncated or damaged"),
    ],
)
def test_files_other_than_archives_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        unpacking.check(io.BytesIO(content))


def test_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    data = simple([LAYER], CONFIG).write(tmp_path / "image.tar").read_bytes()
    for size in (600, 1024, 2000, len(data) // 2, len(data) - 10240):
        with pytest.raises(InputError):
            unpacking.check(io.BytesIO(data[:size]))


def test_members_of_the_archive_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images.limits, "MAX_MEMBERS", 3)

    assert "more than 3 members" in refusal(simple([LAYER], CONFIG), tmp_path).message


def test_blob_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = simple([LAYER], CONFIG).write(tmp_path / "image.tar")
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("index.json")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"{}"))
    with path.open("rb") as stream, pytest.raises(InputError, match=r"has index.json twice"):
        unpacking.check(stream)


def test_the_digest_is_that_of_the_manifest_and_not_of_the_index(tmp_path: Path) -> None:
    layout = Layout()
    inner = good(layout, platform=AMD64)
    layout.manifests = [layout.index([inner])]

    assert check(layout, tmp_path).digest == hashlib.sha256(layout.files[_path(inner)]).hexdigest()
