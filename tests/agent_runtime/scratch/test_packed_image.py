"""A container image is the same on the scratch disk and in memory, and what later layers remove is on neither."""

import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.runner import pack
from agent_runtime.runner.kinds.image_config import read_process
from agent_runtime.scratch.erofs import DirectoryEntry
from agent_runtime.scratch.packedroot import PackedRoot, SurvivorSink
from agent_runtime.scratch.volume import Volume
from cloister.errors import InputError
from cloister.protocol.containers import unpacking
from image.inputs import host_tools
from tests.agent_runtime.scratch.volume_reader import contents
from tests.oci_archives import PROGRAM, Entry, folder, hard, link, simple

SIZE = 24 << 20
FIRST = 100_000
"""The id outside of the sandbox of user 0."""

LAYERS = [
    [
        folder("etc", mode=0o750, group=4),
        Entry("etc/passwd", b"app:x:7:8::/home:\n"),
        Entry("bin/run", PROGRAM + b"run" * 5000, mode=0o6755, user=7, group=8, time=1_600_000_000.25),
        hard("bin/same", "bin/run"),
        link("lib", "usr/lib", user=5),
        link("long", "x" * 4000),
        Entry("p", kind=tarfile.FIFOTYPE, mode=0o600, user=9),
        Entry("gone", b"g" * 100_000),
        link("gone-link", "gone"),
        Entry("replaced", b"old" * 1000),
        Entry("outlived", b"o"),
        hard("kept", "outlived"),
        hard("pipes", "p"),
        hard("library", "lib"),
        Entry("old", time=-1_000_000.5),
        folder("d", mode=0o1777),
        Entry("d/e/f", b"f"),
        Entry("caf\udce9", b"name"),
        Entry("empty"),
    ],
    [
        Entry(".wh.gone"),
        Entry(".wh.gone-link"),
        Entry(".wh.outlived"),
        Entry("replaced", b"new", mode=0o400),
        folder("d/e", user=3),
        Entry("d/e/.wh..wh..opq"),
        Entry("lib/x", b"through a link"),
    ],
]
CONFIG = {"Entrypoint": ["/bin/run"], "User": "app", "WorkingDir": "/new/place"}


def tree(root: Path, first: int) -> dict[str, Any]:
    """What each path is; owners as in the sandbox."""
    found = {}
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(place, name)
            is_link = path.is_symlink()
            status = path.lstat()
            content: object = os.readlink(path) if is_link else None
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            mode = status.st_mode if not is_link else stat.S_IFLNK
            owner = (status.st_uid - first, status.st_gid - first)
            time = None if is_link else status.st_mtime_ns // 1_000_000_000
            found[os.path.relpath(path, root)] = (mode, owner, time, links, content)
    return found


def packed(tmp_path: Path, **more: Any) -> Path:
    """The packer's volume, extracted."""
    archive = simple(LAYERS, CONFIG).write(tmp_path / "image.tar")
    with archive.open("rb") as stream:
        checked = unpacking.check(stream)
    image = {
        "archive": str(archive),
        "digest": checked.digest,
        "size": checked.size,
        "args": [],
        "environment": {"A": "b"},
        "root": "root",
        "process": "process.json",
        **more,
    }
    request = {"size": SIZE, "owner": FIRST + 1000, "first": FIRST, "shared": True, "bundle": None, "datasets": []}
    device = os.open(tmp_path / "device", os.O_RDWR | os.O_CREAT)
    os.truncate(device, SIZE)
    seal = pack.pack({**request, "image": image}, device)
    (tmp_path / "out.erofs").write_bytes(contents(os.pread(device, SIZE, 0), seal))
    words = [f"--extract={tmp_path / 'out'}", "--preserve-perms", "--preserve-owner", tmp_path / "out.erofs"]
    host_tools.ensure().run("fsck.erofs", *words)
    return tmp_path / "out/image"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to their owners")
def test_image_is_the_same_on_disk_and_in_memory(tmp_path: Path) -> None:
    found = packed(tmp_path)
    (tmp_path / "memory").mkdir()
    with (tmp_path / "image.tar").open("rb") as stream:
        digest, size = (checked := unpacking.check(stream)).digest, checked.size
        process = unpacking.unpack(
            stream, tmp_path / "memory", digest=digest, size=size, args=(), environment={"A": "b"}, owns=True
        )

    assert tree(found / "root", FIRST) == tree(tmp_path / "memory", 0)
    assert {path.name for path in found.iterdir()} == {"root", "process.json"}
    assert read_process(found) == process


def test_image_that_was_not_agreed_on_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="as in the manifest"):
        packed(tmp_path, digest="0" * 64)
    with pytest.raises(InputError, match="the size in the manifest"):
        packed(tmp_path, size=10_000)


def test_what_a_later_layer_removes_takes_no_room(tmp_path: Path) -> None:
    """The manifest's size is what is there in the end, or the most at once: layers may have more together."""
    layers = [[Entry("x", bytes([number]) * (4 << 20)), Entry("bin/run", PROGRAM, mode=0o755)] for number in range(5)]
    archive = simple(layers, CONFIG | {"User": ""}).write(tmp_path / "image.tar")
    device = os.open(tmp_path / "device", os.O_RDWR | os.O_CREAT)
    os.truncate(device, SIZE)
    region = Volume(device, SIZE).region(1)
    counted = SurvivorSink()
    with archive.open("rb") as stream:
        checked = unpacking.check(stream)
        unpacking.unpack_twice(
            stream,
            counted,
            lambda: PackedRoot(region, DirectoryEntry(), counted.survivors(), first=FIRST),
            digest=checked.digest,
            size=checked.size,
            args=(),
            environment={},
        )

    assert 4 << 20 < region.size < 5 << 20
