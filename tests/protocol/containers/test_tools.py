"""Archives in the exact shapes that docker, podman, buildah and skopeo write them are run, or refused with the remedy.

Seen with docker 20.10 and 26.1, podman 4.3 and 5.4, buildah 1.28 and 1.39, skopeo 1.9 and 1.18.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from cloister.client.script.algorithm import Program
from cloister.client.script.examination import examine
from cloister.errors import InputError
from cloister.protocol.manifest import DeclaredContainer
from tests.oci_archives import COMPRESSIONS, DOCKER, OCI, PROGRAM, Entry, Layout, folder, link, tar

LAYERS = [[folder("bin"), Entry("bin/run", PROGRAM, mode=0o755)], [folder("etc"), Entry("etc/.wh.gone")]]
PROCESS = {
    "Hostname": "",
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "/work",
    "Entrypoint": ["/bin/run"],
    "OnBuild": None,
    "Labels": None,
}
REFERENCE = "org.opencontainers.image.ref.name"
NAME = "io.containerd.image.name"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def configuration(tars: list[bytes], **more: Any) -> dict[str, Any]:
    """With history of steps that made no layer."""
    steps = [{"created_by": "/bin/sh -c #(nop) COPY", "created": "2026-01-01T00:00:00Z"} for _ in tars]
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": PROCESS,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(data)}" for data in tars]},
        "history": [*steps, {"created_by": "/bin/sh -c #(nop) ENTRYPOINT", "empty_layer": True, "comment": None}],
        **more,
    }


def write(path: Path, files: dict[str, bytes | str | None]) -> Path:
    """A tar as Go's archive/tar writes it: folders (None), links (text) and files."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(data, str):
                member.type, member.linkname = tarfile.SYMTYPE, data
            else:
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def layout_files(layout: Layout, index: dict[str, Any]) -> dict[str, bytes | str | None]:
    blobs = {name: data for name, data in layout.files.items() if name.startswith("blobs/")}
    return {"blobs/": None, "blobs/sha256/": None, **dict(sorted(blobs.items())), "index.json": encoded(index)}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def docker_25(tmp_path: Path) -> Path:
    """`docker save` of 25 and newer, without the containerd store: uncompressed layers, and the old files beside."""
    tars = [tar(layer) for layer in LAYERS]
    layout = Layout()
    config = layout.document(configuration(tars, docker_version="26.1.5"), f"{OCI}config.v1+json")
    layers = [layout.blob(data, f"{OCI}layer.v1.tar") for data in tars]
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}manifest.v1+json", "config": config, "layers": layers}
    entry = layout.document(manifest, f"{OCI}manifest.v1+json")
    entry["annotations"] = {NAME: "docker.io/library/mean:latest", REFERENCE: "latest"}
    # The first form of Docker's images: files that are called like blobs, and are not called by their digests.
    for number, data in enumerate(tars):
        layout.files[f"blobs/sha256/{digest(b'v1' + data)}"] = encoded({"id": digest(b"v1" + data), "n": number})
    names = [f"blobs/sha256/{digest(data)}" for data in tars]
    old = [{"Config": f"blobs/{config['digest'].replace(':', '/')}", "RepoTags": ["mean:latest"], "Layers": names}]
    files = layout_files(layout, {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": [entry]})
    more = {"manifest.json": encoded(old), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    return write(tmp_path / "docker.tar", {**files, **more, "repositories": b'{"mean":{"latest":"0"}}\n'})


def containerd(tmp_path: Path) -> Path:
    """`docker save` with the containerd store, and `ctr image export`: an index of several platforms, of which the
    others' blobs are not there, with attestations.
    """
    layout = Layout()
    tars = [tar(layer) for layer in LAYERS]
    entry = layout.image(tars, PROCESS, family=DOCKER, platform={"architecture": "amd64", "os": "linux"})
    size = {"size": 1234, "digest": f"sha256:{'0' * 64}"}
    manifest_type = f"{DOCKER}distribution.manifest.v2+json"
    arm = {"mediaType": manifest_type, **size, "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}}
    unknown = {
        "mediaType": f"{OCI}manifest.v1+json",
        **size,
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {
            "vnd.docker.reference.digest": entry["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        },
    }
    top = layout.index([arm, unknown, entry], DOCKER, annotations={NAME: "docker.io/library/mean:latest"})
    files = layout_files(layout, {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": [top]})
    return write(tmp_path / "c8d.tar", {**files, "manifest.json": b"[]", "oci-layout": layout.files["oci-layout"]})


def oci_archive(tmp_path: Path, compression: str = "+gzip", **more: Any) -> Path:
    """`skopeo copy ... oci-archive:`, `podman save --format oci-archive`, `buildah push ... oci-archive:`."""
    layout = Layout()
    entry = layout.image([tar(layer) for layer in LAYERS], PROCESS, compression=compression, **more)
    entry["annotations"] = {REFERENCE: "mean:latest"}
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [entry]})
    return write(tmp_path / "oci.tar", {**files, "oci-layout": layout.files["oci-layout"]})


def zstd_chunked(tmp_path: Path) -> Path:
    """`buildah push --compression-format zstd:chunked`: a frame for each file, and a table of contents in frames that
    are skipped; annotations say where.
    """
    layout = Layout()
    tars = [tar(layer) for layer in LAYERS]
    entry = layout.image(tars, PROCESS, compression="+zstd")
    manifest = json.loads(layout.files[f"blobs/{entry['digest'].replace(':', '/')}"])
    compress = COMPRESSIONS["+zstd"]
    for number, data in enumerate(tars):
        skipped = b"P*M\x18" + (40).to_bytes(4, "little") + bytes(40)
        blob = b"".join(compress(data[start : start + 512]) for start in range(0, len(data), 512)) + skipped
        notes = {"io.github.containers.zstd-chunked.manifest-position": "1:2:3:1"}
        manifest["layers"][number] = layout.blob(blob, f"{OCI}layer.v1.tar+zstd", annotations=notes)
    entry = layout.document(manifest, f"{OCI}manifest.v1+json")
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [entry]})
    return write(tmp_path / "chunked.tar", {**files, "oci-layout": layout.files["oci-layout"]})


def uncompressed_as_gzip(tmp_path: Path) -> Path:
    """`skopeo copy --dest-oci-accept-uncompressed-layers docker-archive:... oci-archive:...` (1.18)."""
    layout = Layout()
    tars = [tar(layer) for layer in LAYERS]
    entry = layout.image(tars, PROCESS, compression="")
    manifest = json.loads(layout.files[f"blobs/{entry['digest'].replace(':', '/')}"])
    for layer in manifest["layers"]:
        layer["mediaType"] = f"{OCI}layer.v1.tar+gzip"
    entry = layout.document(manifest, f"{OCI}manifest.v1+json")
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [entry]})
    return write(tmp_path / "uncompressed.tar", {**files, "oci-layout": layout.files["oci-layout"]})


def nulls(tmp_path: Path) -> Path:
    """Members that Go writes as null: no annotations, no platform, no history."""
    layout = Layout()
    tars = [tar(layer) for layer in LAYERS]
    more = {"history": None, "author": None, "config": {**PROCESS, "Env": None, "User": None, "WorkingDir": None}}
    entry = layout.image(tars, config_more=more)
    entry |= {"annotations": None, "platform": None, "urls": None}
    files = layout_files(layout, {"schemaVersion": 2, "mediaType": None, "manifests": [entry], "annotations": None})
    return write(tmp_path / "nulls.tar", {**files, "oci-layout": layout.files["oci-layout"]})


def same_layer_twice(tmp_path: Path) -> Path:
    """Two steps that change nothing have one layer, of 1024 zeros."""
    layout = Layout()
    entry = layout.image([bytes(1024), tar(LAYERS[0]), bytes(1024)], PROCESS)
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [entry]})
    return write(tmp_path / "empty.tar", {**files, "oci-layout": layout.files["oci-layout"]})


ACCEPTED: dict[str, Callable[[Path], Path]] = {
    "docker save, 25 and newer": docker_25,
    "docker save, containerd store": containerd,
    "oci-archive": oci_archive,
    "oci-archive, zstd": lambda tmp_path: oci_archive(tmp_path, "+zstd"),
    "oci-archive, not compressed": lambda tmp_path: oci_archive(tmp_path, ""),
    "oci-archive, docker's types": lambda tmp_path: oci_archive(tmp_path, family=DOCKER),
    "zstd:chunked": zstd_chunked,
    "uncompressed layers that say they are not": uncompressed_as_gzip,
    "nulls": nulls,
    "one layer twice, and empty": same_layer_twice,
}


@pytest.mark.parametrize("form", list(ACCEPTED))
def test_what_tools_write_is_accepted(tmp_path: Path, form: str) -> None:
    found = examine(Program(ACCEPTED[form](tmp_path), {}, {}, kind="oci"))

    assert isinstance(found.container, DeclaredContainer)
    assert found.warnings == ()


def docker_20(tmp_path: Path) -> Path:
    """`docker save` before 25: a folder for each layer, which is a link if another image has it, too."""
    tars = [tar(layer) for layer in LAYERS]
    ids = [digest(b"id" + data) for data in tars]
    config = encoded(configuration(tars))
    files: dict[str, bytes | str | None] = {}
    for name, data in zip(ids, tars, strict=True):
        files |= {f"{name}/": None, f"{name}/VERSION": b"1.0", f"{name}/json": b"{}", f"{name}/layer.tar": data}
    files[f"{ids[1]}/layer.tar"] = f"../{ids[0]}/layer.tar"
    files[f"{digest(config)}.json"] = config
    layers = [f"{name}/layer.tar" for name in ids]
    old = [{"Config": f"{digest(config)}.json", "RepoTags": ["mean:latest"], "Layers": layers}]
    return write(tmp_path / "old.tar", {**files, "manifest.json": encoded(old), "repositories": b"{}\n"})


def docker_archive(tmp_path: Path) -> Path:
    """`podman save` and `skopeo copy ... docker-archive:`."""
    tars = [tar(layer) for layer in LAYERS]
    config = encoded(configuration(tars))
    files: dict[str, bytes | str | None] = {f"{digest(data)}.tar": data for data in tars}
    old = [{"Config": f"{digest(config)}.json", "RepoTags": [], "Layers": list(files)}]
    more: dict[str, bytes | str | None] = {f"{digest(config)}.json": config, "manifest.json": encoded(old)}
    return write(tmp_path / "docker-archive.tar", {**files, **more})


def docker_dir(tmp_path: Path) -> Path:
    """`podman save --format docker-dir` and `skopeo copy ... dir:`."""
    place = tmp_path / "folder"
    place.mkdir()
    tars = [tar(layer) for layer in LAYERS]
    (place / "version").write_bytes(b"Directory Transport Version: 1.1\n")
    (place / "manifest.json").write_bytes(encoded({"schemaVersion": 2, "layers": []}))
    for data in (*tars, encoded(configuration(tars))):
        (place / digest(data)).write_bytes(data)
    return place


def root(tmp_path: Path) -> Path:
    """`docker export`: a root file system, without an image around it."""
    entries: Iterable[Entry] = [entry for layer in LAYERS for entry in layer]
    (tmp_path / "export.tar").write_bytes(tar(entries))
    return tmp_path / "export.tar"


def compressed(tmp_path: Path) -> Path:
    """`docker save ... | gzip`."""
    (tmp_path / "saved.tar.gz").write_bytes(gzip.compress(docker_25(tmp_path).read_bytes(), mtime=0))
    return tmp_path / "saved.tar.gz"


def foreign(tmp_path: Path) -> Path:
    """A layer that may not be distributed, and is not there."""
    layout = Layout()
    entry = layout.image([tar(layer) for layer in LAYERS], PROCESS)
    manifest = json.loads(layout.files[f"blobs/{entry['digest'].replace(':', '/')}"])
    layer = manifest["layers"][0]
    del layout.files[f"blobs/{layer['digest'].replace(':', '/')}"]
    layer |= {"mediaType": f"{OCI}layer.nondistributable.v1.tar+gzip", "urls": ["https://example.org/layer"]}
    entry = layout.document(manifest, f"{OCI}manifest.v1+json")
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [entry]})
    return write(tmp_path / "foreign.tar", {**files, "oci-layout": layout.files["oci-layout"]})


def other_platform(tmp_path: Path) -> Path:
    """`docker save` with the containerd store on a Mac, of an image that was pulled: the index has all platforms, the
    archive has one.
    """
    layout = Layout()
    arm = layout.image([tar(LAYERS[0])], PROCESS, config_more={"architecture": "arm64"})
    arm["platform"] = {"architecture": "arm64", "os": "linux", "variant": "v8"}
    amd = {**arm, "digest": f"sha256:{'1' * 64}", "platform": {"architecture": "amd64", "os": "linux"}}
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [layout.index([amd, arm])]})
    return write(tmp_path / "mac.tar", {**files, "oci-layout": layout.files["oci-layout"]})


def linked(tmp_path: Path) -> Path:
    """A layout whose blobs are links, as a folder that shares them was packed."""
    layout = Layout()
    entry = layout.image([tar(layer) for layer in LAYERS], PROCESS)
    files = layout_files(layout, {"schemaVersion": 2, "manifests": [entry]})
    more = {name: "../../store" if name.startswith("blobs/sha256/") and data else data for name, data in files.items()}
    return write(tmp_path / "linked.tar", {**more, "oci-layout": layout.files["oci-layout"]})


REFUSED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "docker save before 25": (docker_20, "the form that Docker before version 25 and", "docker-archive:OLD.tar"),
    "podman save": (docker_archive, "the form that Docker before version 25 and", "--format oci-archive"),
    "skopeo's dir": (docker_dir, "The folder is of the form that skopeo calls dir", "dir:FOLDER"),
    "docker export": (root, "not in the OCI image layout", "docker save"),
    "docker save and gzip": (compressed, "compressed as a whole", "gzip -d"),
    "a layer that is elsewhere": (foreign, "Layer 1 of the image is not in the archive", "skopeo copy"),
    "docker save on a machine of another kind": (
        other_platform,
        "no image for linux/amd64; it has linux/amd64 that is not in the archive, linux/arm64/v8",
        "docker pull --platform linux/amd64",
    ),
    "blobs that are links": (linked, "it has something that is not in the archive", "--platform"),
}


@pytest.mark.parametrize("form", list(REFUSED))
def test_what_tools_write_in_another_form_is_refused_with_the_remedy(tmp_path: Path, form: str) -> None:
    make, said, remedy = REFUSED[form]
    with pytest.raises(InputError) as caught:
        examine(Program(make(tmp_path), {}, {}, kind="oci"))

    assert said in caught.value.message
    assert remedy in caught.value.hint


@pytest.mark.parametrize("target", ["/etc/users", "../etc/users"])
def test_users_may_be_in_a_file_that_a_link_leads_to(tmp_path: Path, target: str) -> None:
    layout = Layout()
    users = [link("etc/passwd", target), Entry("etc/users", b"app:x:5:6::/home:\n")]
    layout.manifests = [layout.image([tar([*LAYERS[0], *users])], {**PROCESS, "User": "app"})]

    assert examine(Program(layout.write(tmp_path / "image.tar"), {}, {}, kind="oci")).container is not None
