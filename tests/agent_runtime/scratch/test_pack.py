"""What is unpacked to the scratch disk is what the launcher would unpack in memory."""

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.runner import pack
from agent_runtime.runner.pack import PackError
from cloister.protocol.archives import unpacking
from cloister.protocol.volume import volume_size
from cloister.protocol.wheels import bundle
from tests.agent_runtime.scratch.volume_reader import files
from tests.protocol.test_wheels import make
from tests.small_wheels import SmallWheel

SIZE = volume_size(20)


def archive(kind: str) -> bytes:
    """With a folder, a program, an empty file, a repeated member and, in a tar, both kinds of links."""
    out = io.BytesIO()
    members = {"a/b/one": b"1" * 5000, "a/two": b"2", "empty": b"", "run.sh": b"#!"}
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in members.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = (0o100755 if name == "run.sh" else 0o100644) << 16
                made.writestr(info, data)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as tar:
        for name, data in [*members.items(), ("a/two", b"2")]:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if name == "run.sh" else 0o644
            tar.addfile(info, io.BytesIO(data))
        for name, link, target in (("hard", tarfile.LNKTYPE, "a/two"), ("soft", tarfile.SYMTYPE, "a/b/one")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = link, target
            tar.addfile(info)
    return out.getvalue()


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and mode by path."""
    return {
        path.relative_to(folder).as_posix(): (b"" if path.is_dir() else path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
    }


def packed(tmp_path: Path, request: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
    device = os.open(tmp_path / "device", os.O_RDWR | os.O_CREAT)
    os.truncate(device, SIZE)
    seal = pack.pack(
        {"size": SIZE, "owner": 101_000, "bundle": None, "image": None, "datasets": [], "shared": False, **request},
        device,
    )
    return files(os.pread(device, SIZE, 0), seal, tmp_path / "out")


@pytest.mark.parametrize("kind", ["", "gz", "xz", "zip"])
def test_a_dataset_is_the_same_on_disk_and_in_memory(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(archive(kind))
    unpacking.unpack(source, tmp_path / "memory", 100_000)
    found = packed(tmp_path, {"datasets": [{"from": str(source), "name": "h1", "size": 100_000}]})
    expected = {f"datasets/h1/{name}": entry for name, entry in tree(tmp_path / "memory").items()}
    assert found == {"datasets": (b"", 0o755), "datasets/h1": (b"", 0o755)} | expected


def test_any_user_of_a_container_image_may_write_to_a_dataset(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(archive("zip"))
    request = {"datasets": [{"from": str(source), "name": "h1", "size": 100_000}]}
    own = packed(tmp_path, request)
    (tmp_path / "out").rename(tmp_path / "own")
    shared = packed(tmp_path, {**request, "shared": True})

    assert shared == {name: (data, mode | 0o022) for name, (data, mode) in own.items()}


def test_wheels_are_the_same_on_disk_and_in_memory(tmp_path: Path) -> None:
    wheels = (
        SmallWheel(
            "a", {"a/x.py": b"x", "a/y.so": (b"y", 0o100755), "common": b"c", "a-1.0.data/scripts/s": b"#!python"}
        ),
        SmallWheel("b", {"b/z.py": b"z", "common": (b"c", 0o100755)}),
    )
    made = make(tmp_path / "bundle.tar", {f"wheels/{wheel.file}": wheel.build() for wheel in wheels})
    bundle.install(made, bundle.Folder(tmp_path / "memory"), sys.executable)
    found = packed(tmp_path, {"bundle": str(made)})
    expected = {f"wheels/{name}": entry for name, entry in tree(tmp_path / "memory").items()}
    assert found == {"wheels": (b"", 0o755)} | expected


@pytest.mark.parametrize(
    ("size", "data", "sentence"),
    [
        (10, archive("zip"), "Dataset h1: The files have more bytes together than the unpacked size of 10"),
        (100_000, b"no archive", "Dataset h1: "),
        (100_000, archive("gz")[:-30], "Dataset h1: "),
    ],
)
def test_what_the_launcher_refuses_is_refused(tmp_path: Path, size: int, data: bytes, sentence: str) -> None:
    (tmp_path / "source").write_bytes(data)
    with pytest.raises(PackError, match=sentence):
        packed(tmp_path, {"datasets": [{"from": str(tmp_path / "source"), "name": "h1", "size": size}]})
