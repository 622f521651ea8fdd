"""The launcher, on hostile bundles and datasets."""

import base64
import hashlib
import io
import json
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from agent_runtime.runner import launch
from agent_runtime.runner.launch import LaunchError, install_wheels, unpack_dataset

ESCAPING_NAMES = ["../x", "/x", "a/../../x", "a//x", ".", "..", "a/./x", "a\\..\\x"]


def wheel(files: dict[str, bytes], *, lie: bool = False, folder: str = "demo-1.dist-info") -> bytes:
    """A wheel of these files with its RECORD."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        lines = []
        for name, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(b"lie" if lie else content).digest()).rstrip(b"=")
            lines.append(f"{name},sha256={digest.decode()},{len(content)}")
            archive.writestr(name, content)
        archive.writestr(f"{folder}/RECORD", "\n".join([*lines, f"{folder}/RECORD,,"]) + "\n")
    return out.getvalue()


def bundle(
    path: Path, wheels: dict[str, bytes], requirements: str | None = None, extra: tarfile.TarInfo | None = None
) -> Path:
    """A bundle as ``cloister.client.computation.bundle`` makes it, with possible defects."""
    text = "".join(f"{name} --hash=sha256:{hashlib.sha256(data).hexdigest()}\n" for name, data in wheels.items())
    with tarfile.open(path, "w") as archive:
        for name, data in (("requirements.txt", (requirements or text).encode()), *wheels.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if extra is not None:
            archive.addfile(extra)
    return path


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


def test_wheels_are_laid_out_as_libraries(tmp_path: Path) -> None:
    files = {
        "demo/__init__.py": b"x = 1\n",
        "demo-1.data/platlib/extra.py": b"y = 2\n",
        "demo-1.data/scripts/tool": b"",
    }
    made = bundle(tmp_path / "b.tar", {"wheels/demo-1-py3-none-any.whl": wheel(files)})
    install_wheels(made, tmp_path / "out")
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["demo-1.dist-info", "demo/__init__.py", "extra.py"]


def test_wheel_that_is_not_in_requirements_is_refused(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b.tar", {"wheels/demo.whl": wheel({"demo.py": b""})}, "demo --hash=sha256:" + "0" * 64)
    with pytest.raises(LaunchError, match="requirements"):
        install_wheels(made, tmp_path / "out")


def test_wheel_that_differs_from_its_record_is_refused(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b.tar", {"wheels/demo.whl": wheel({"demo.py": b"x"}, lie=True)})
    with pytest.raises(LaunchError, match="RECORD"):
        install_wheels(made, tmp_path / "out")


@pytest.mark.parametrize("name", [*ESCAPING_NAMES, "demo-1.data/purelib/../../../x"])
def test_wheel_cannot_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    made = bundle(tmp_path / "b.tar", {"wheels/demo.whl": wheel({name: b"x"})})
    with pytest.raises(LaunchError):
        install_wheels(made, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("x"))


def test_wheels_do_not_replace_each_others_files(tmp_path: Path) -> None:
    wheels = {f"wheels/{n}.whl": wheel({"same.py": n.encode()}, folder=f"{n}-1.dist-info") for n in ("a", "b")}
    with pytest.raises(LaunchError, match="replace"):
        install_wheels(bundle(tmp_path / "b.tar", wheels), tmp_path / "out")


@pytest.mark.parametrize("name", ["../wheels/a.whl", "wheels/../a.whl", "a.whl", "wheels/a.tar", "wheels/b/a.whl"])
def test_a_bundle_holds_wheels_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(LaunchError, match="no wheel"):
        install_wheels(bundle(tmp_path / "b.tar", {name: wheel({"demo.py": b""})}), tmp_path / "out")


def test_a_bundle_holds_no_links(tmp_path: Path) -> None:
    link = tarfile.TarInfo("wheels/a.whl")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(LaunchError, match="no file"):
        install_wheels(bundle(tmp_path / "b.tar", {}, extra=link), tmp_path / "out")


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


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    made = packed("zip", tmp_path / "d", "x", b"/etc/passwd", stat.S_IFLNK | 0o777)
    with pytest.raises(LaunchError, match="no file or folder"):
        unpack_dataset(made, tmp_path / "out", 1000)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "d", "w") as archive:
        info = tarfile.TarInfo("x")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(LaunchError, match="no file or folder"):
        unpack_dataset(tmp_path / "d", tmp_path / "out", 1000)


def start(tmp_path: Path, **changes: object) -> "subprocess.CompletedProcess[str]":
    """Launch with a request in which ``changes`` replace members."""
    request = {"args": [], "wheels": None, "datasets": [], "launched": str(tmp_path / "launched")} | changes
    words = [sys.executable, "-I", "-B", launch.__file__, json.dumps(request)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_algorithm_finds_its_wheels_and_arguments(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b.tar", {"wheels/demo.whl": wheel({"demo.py": b"x = 41\n"})})
    (tmp_path / "train.py").write_text("import demo, sys; print(demo.x + 1, sys.argv[1:], __name__)")
    done = start(
        tmp_path,
        algorithm=str(tmp_path / "train.py"),
        args=["a b", "--c"],
        wheels={"bundle": str(made), "into": str(tmp_path / "wheels")},
    )
    assert (done.returncode, done.stdout) == (0, "42 ['a b', '--c'] __main__\n"), done.stderr
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
