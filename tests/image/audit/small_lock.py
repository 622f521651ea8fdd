"""A lock of small packages and a wheel whose files are on disk, an image of it, and data about vulnerabilities."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image import cache
from image.build import manifest, output
from image.inputs.lockfile import Lock, LockedArchive, LockedPackage, LockedWheel
from image.rootfs.tree import TreeEntry
from tests.image.small_archive import make_deb

ARCHIVES = (LockedArchive("debian", "trixie", "2026-11-01T00:00:00Z"),)


@dataclass(frozen=True)
class SmallDeb:
    """A package: its control fields besides the name and version, and its files."""

    name: str
    version: str
    fields: Mapping[str, str]
    files: Mapping[str, bytes]

    def put(self, scripts: Mapping[str, str] | None = None) -> LockedPackage:
        """Write it into the cache; its entry in a lock."""
        control = {"Package": self.name, "Version": self.version, "Architecture": "amd64", **self.fields}
        content = make_deb(control, self.files, scripts)
        digest = hashlib.sha256(content).hexdigest()
        (cache.inputs() / digest).write_bytes(content)
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in (scripts or {}).items()}
        path = f"pool/{self.name}_{self.version}.deb"
        return LockedPackage(self.name, self.version, "amd64", "debian", path, digest, len(content), digests)


LIBC = SmallDeb("libc6", "2.41-12+deb13u5", {"Source": "glibc"}, {"usr/lib/x86_64-linux-gnu/libc.so.6": b"libc"})
BUSYBOX = SmallDeb(
    "busybox-static",
    "1:1.37.0-6+b9",
    {"Source": "busybox (1:1.37.0-6)", "Built-Using": "glibc (= 2.41-12+deb13u4)"},
    {"bin/busybox": b"busybox"},
)
KERNEL = SmallDeb(
    "linux-image-6.12.1+deb13-cloud-amd64",
    "6.12.1-1",
    {"Source": "linux-signed-amd64 (6.12.1+1)", "Built-Using": "linux (= 6.12.1-1)"},
    {
        "boot/vmlinuz-6.12.1+deb13-cloud-amd64": b"kernel",
        "lib/modules/6.12.1+deb13/kernel/drivers/virtio-net.ko.xz": b"m",
    },
)
STUB = SmallDeb(
    "systemd-boot-efi", "257.13-1", {"Source": "systemd"}, {"usr/lib/systemd/boot/efi/linuxx64.efi.stub": b"s"}
)
# Its program asks for the library by a name that is a link in the package.
UDEV = SmallDeb("libudev1", "257.13-1", {"Source": "systemd"}, {"usr/lib/x86_64-linux-gnu/libudev.so.1.7.10": b"udev"})
DROPPED = SmallDeb("tzdata", "2026f-0+deb13u1", {}, {"usr/share/doc/tzdata/README": b"a page"})


def wheel() -> LockedWheel:
    """A wheel for the agent, in the cache."""
    path = cache.inputs() / "wheel"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("Small_Pkg/__init__.py", "small_pkg-1.5.dist-info/METADATA", "small_pkg-1.5.data/scripts/tool"):
            archive.writestr(zipfile.ZipInfo(name), "text")
    digest = cache.digest(path)
    path.rename(cache.inputs() / digest)
    return LockedWheel("Small_Pkg", "1.5", "Small_Pkg-1.5-py3-none-any.whl", digest, 10)


def lock() -> Lock:
    """All of them."""
    packages = tuple(deb.put() for deb in (BUSYBOX, LIBC, UDEV, KERNEL, STUB, DROPPED))
    return Lock("base", "trixie", "00", ARCHIVES, packages, (), (wheel(),))


def image(folder: Path, made: Lock) -> Path:
    """An image of the lock, with the files that a build would have put there."""

    def file(content: bytes) -> dict[str, str]:
        return TreeEntry.file(content).describe()

    listing = manifest.listing(
        {
            "root": {
                "usr/bin/busybox": file(b"busybox"),
                "usr/lib/x86_64-linux-gnu/libc.so.6": file(b"libc"),
                "usr/lib/modules/virtio_net.ko": file(b"module"),
                "usr/lib/cloister/Small_Pkg/__init__.py": file(b"text"),
            },
            "initrd": {"usr/lib/x86_64-linux-gnu/libudev.so.1": file(b"udev")},
            "uki": {".linux": {"sha256": "00" * 32}, ".text": {"sha256": "00" * 32}},
        }
    )
    files = {"files.json": listing, "lock.json": made.encode()}
    described = ImageManifest(
        flavor="base",
        debug=False,
        inputs={"lock": made.digest()},
        outputs={name: ImageOutput(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()},
        pcrs=dict.fromkeys((4, 9, 11, 12, 13), "00" * 32),
    )
    output.write(files | {"manifest.json": described.encode()}, folder)
    return folder


def release(status: str, fixed: str = "", **more: object) -> dict[str, Any]:
    """What the tracker says of a vulnerability in trixie."""
    entry: dict[str, Any] = {"status": status, "urgency": "not yet assigned", **more}
    if fixed:
        entry["fixed_version"] = fixed
    return {"description": "what it is", "scope": "remote", "releases": {"trixie": entry, "sid": {"status": "open"}}}


def tracker(path: Path, issues: Mapping[str, Mapping[str, Any]]) -> Path:
    """A file as the tracker writes it: in one line, in any order, with packages that no one asks for."""
    path.write_text(json.dumps({"0ad": {"CVE-2020-1": release("open")}, **issues}, separators=(",", ":")))
    return path


def record(name: str, *parts: tuple[str, str, list[dict[str, str]]], **more: Any) -> dict[str, Any]:
    """An OSV record; each part has an ecosystem, a package and the events of a range."""
    affected = [
        {"package": {"ecosystem": place, "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        for place, package, events in parts
    ]
    return {"schema_version": "1.7.0", "id": name, "modified": "2026-01-01T00:00:00Z", "affected": affected, **more}
