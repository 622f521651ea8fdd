"""The launcher, on hostile bundles and datasets."""

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from agent_runtime.runner import launch
from agent_runtime.runner.launch import LaunchError, unpack_dataset
from tests.small_wheels import SmallWheel

ESCAPING_NAMES = ["../x", "/x", "a/../../x", "a//x", ".", "..", "a/./x", "a\\..\\x"]


def packed(kind: str, path: Path, name: str, content: bytes = b"data", mode: int = 0) -> Path:
    """A dataset with one member."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    else:
        with tarfile.open(path, f"w:{kind.removeprefix('tar').removeprefix('.')}") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_dataset_is_unpacked(tmp_path: Path, kind: str) -> None:
    made = packed(kind, tmp_path / "d", "images/1.txt")
    unpack_dataset(made, tmp_path / "out", 4)
    assert (tmp_path / "out/images/1.txt").read_bytes() == b"data"


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ESCAPING_NAMES[:5] + ESCAPING_NAMES[6:])
def test_dataset_cannot_write_outside_its_folder(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises((LaunchError, OSError)):
        unpack_dataset(packed(kind, tmp_path / "d", name), tmp_path / "deep" / "out", 1000)
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_dataset_that_unpacks_to_more_than_declared_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(LaunchError, match="unpacked size"):
        unpack_dataset(packed(kind, tmp_path / "d", "x", bytes(1001)), tmp_path / "out", 1000)


def start(tmp_path: Path, **changes: object) -> "subprocess.CompletedProcess[str]":
    """Launch with a request in which ``changes`` replace members."""
    request = {
        "kind": "python",
        "args": [],
        "wheels": None,
        "datasets": [],
        "launched": str(tmp_path / "launched"),
    } | changes
    words = [sys.executable, "-I", "-B", launch.__file__, json.dumps(request)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_algorithm_finds_its_wheels_programs_and_arguments(tmp_path: Path) -> None:
    files = {"demo.py": b"x = 41\n", "demo-1.0.data/scripts/tool": b"#!/bin/sh\necho tool\n"}
    wheel = SmallWheel(files=files | {"demo-1.0.data/data/lib/libdemo.so": b""})
    digest_hex = wheel.write(tmp_path)
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        member = tarfile.TarInfo("requirements.txt")
        member.size = len(wheel.line(digest_hex))
        archive.addfile(member, io.BytesIO(wheel.line(digest_hex).encode()))
        archive.add(tmp_path / wheel.file, f"wheels/{wheel.file}")
    (tmp_path / "train.py").write_text(
        "import demo, os, subprocess, sys; print(demo.x + 1, sys.argv[1:], __name__, flush=True);"
        "subprocess.run(['tool']); print(os.environ['LD_LIBRARY_PATH'])"
    )
    wheels = {"bundle": str(tmp_path / "b.tar"), "into": str(tmp_path / "wheels")}
    done = start(tmp_path, algorithm=str(tmp_path / "train.py"), args=["a b", "--c"], wheels=wheels)
    printed = f"42 ['a b', '--c'] __main__\ntool\n{tmp_path}/wheels/lib\n"
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
    assert (tmp_path / "launched").read_bytes() == b"1"


def test_failed_launch_prints_the_reason(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"junk")
    wheels = {"bundle": str(tmp_path / "b.tar"), "into": str(tmp_path / "wheels")}
    done = start(tmp_path, algorithm="train.py", wheels=wheels)
    assert done.returncode == launch.FAILED
    assert not (tmp_path / "launched").exists()
    assert done.stderr.startswith("The algorithm cannot be started: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage", ["encrypted", "changed"])
def test_damaged_dataset_is_a_launch_failure(tmp_path: Path, damage: str) -> None:
    with zipfile.ZipFile(tmp_path / "d", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", b"data" * 1000)
    content = bytearray((tmp_path / "d").read_bytes())
    if damage == "encrypted":
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
    else:
        content[31] ^= 0xFF
    (tmp_path / "d").write_bytes(content)
    dataset = {"from": str(tmp_path / "d"), "into": str(tmp_path / "out"), "size": 10_000}
    done = start(tmp_path, algorithm="train.py", datasets=[dataset])
    assert done.returncode == launch.FAILED
    assert "Traceback" not in done.stderr
