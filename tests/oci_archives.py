"""Images of containers as tools write them: archives in the OCI image layout."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


PROGRAM = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x400000, 64, 0, 0, 64, 56, 0, 64, 0, 0)
"""The header of a program for x86-64, as far as it is examined before it is started."""


@dataclass(frozen=True)
class Entry:
    """A member of a layer."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    user: int = 0
    group: int = 0
    time: float = 1_700_000_000


def folder(name: str, **more: Any) -> Entry:
    return Entry(name, kind=tarfile.DIRTYPE, **({"mode": 0o755} | more))


def link(name: str, target: str, **more: Any) -> Entry:
    return Entry(name, kind=tarfile.SYMTYPE, link=target, **more)


def hard(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.LNKTYPE, link=target)


def program(name: str, path: Path, **more: Any) -> Entry:
    return Entry(name, path.read_bytes(), **({"mode": 0o755} | more))


def tar(entries: Iterable[Entry], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.type, member.linkname, member.mode = entry.kind, entry.link, entry.mode
            member.uid, member.gid, member.mtime = entry.user, entry.group, entry.time
            member.size = len(entry.content)
            member.devmajor = member.devminor = 1 if entry.kind in (tarfile.CHRTYPE, tarfile.BLKTYPE) else 0
            archive.addfile(member, io.BytesIO(entry.content))
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    from backports import zstd as library

    return library.compress(data)


COMPRESSIONS = {"": bytes, "+gzip": lambda data: gzip.compress(data, mtime=0), "+zstd": zstd}


@dataclass
class Layout:
    """An archive in the OCI image layout. Tests change ``files`` before :meth:`write`."""

    files: dict[str, bytes] = field(default_factory=lambda: {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'})
    manifests: list[dict[str, Any]] = field(default_factory=list)

    def blob(self, data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Add a blob. Its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, value: Any, media_type: str, **more: Any) -> dict[str, Any]:
        """Add a JSON document."""
        return self.blob(json.dumps(value).encode(), media_type, **more)

    def image(
        self,
        layers: Iterable[bytes],
        config: Mapping[str, Any] | None = None,
        *,
        compression: str = "+gzip",
        family: str = OCI,
        config_more: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Add an image of uncompressed layers. The descriptor of its manifest, which is in no index yet."""
        tars = list(layers)
        docker = family == DOCKER
        layer_type = f"{DOCKER}image.rootfs.diff.tar.gzip" if docker else f"{OCI}layer.v1.tar{compression}"
        blobs = [self.blob(COMPRESSIONS[compression](data), layer_type) for data in tars]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": dict(config or {}),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in tars]},
            "history": [{"created_by": "a test", "empty_layer": False}],
            **(config_more or {}),
        }
        config_type = f"{DOCKER}container.image.v1+json" if docker else f"{OCI}config.v1+json"
        manifest_type = f"{DOCKER}distribution.manifest.v2+json" if docker else f"{OCI}manifest.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": self.document(document, config_type),
            "layers": blobs,
        }
        return self.document(manifest, manifest_type, **more)

    def index(self, manifests: list[dict[str, Any]], family: str = OCI, **more: Any) -> dict[str, Any]:
        """Add an index of manifests. Its descriptor."""
        media_type = f"{OCI}index.v1+json" if family == OCI else f"{DOCKER}distribution.manifest.list.v2+json"
        return self.document({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}, media_type, **more)

    def write(self, path: Path, prefix: str = "") -> Path:
        """Write the archive."""
        index = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": self.manifests}
        with tarfile.open(path, "w") as archive:
            for name, data in {"index.json": json.dumps(index).encode(), **self.files}.items():
                member = tarfile.TarInfo(prefix + name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    def unpack(self, folder: Path) -> Path:
        """Write the layout as a folder."""
        index = {"schemaVersion": 2, "manifests": self.manifests}
        for name, data in {"index.json": json.dumps(index).encode(), **self.files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder


def simple(layers: Iterable[Iterable[Entry]], config: Mapping[str, Any] | None = None, **more: Any) -> Layout:
    """An archive of one image."""
    layout = Layout()
    layout.manifests = [layout.image([tar(layer) for layer in layers], config, **more)]
    return layout
