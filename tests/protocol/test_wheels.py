"""Rules of wheels and bundles: what is installed where, and what is refused."""

import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from cloister.protocol import guest
from cloister.protocol.wheels import bundle, image_packages, installation, record
from cloister.protocol.wheels import wheel as wheel_rules
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.filename import WheelName
from cloister.protocol.wheels.wheel import OpenWheel
from tests.small_wheels import SmallWheel

PROGRAM = stat.S_IFREG | 0o755
LINK = stat.S_IFLNK | 0o777
X = b"x = 1\n"


def make(path: Path, wheels: dict[str, bytes], requirements: str | None = None) -> Path:
    """A bundle of these members, with possible defects."""
    text = "".join(f"{name} --hash=sha256:{hashlib.sha256(data).hexdigest()}\n" for name, data in wheels.items())
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (("requirements.txt", (requirements or text).encode()), *wheels.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def install(tmp_path: Path, *wheels: SmallWheel) -> Path:
    """The folder that a bundle of these wheels is installed into."""
    made = make(tmp_path / "b.tar", {f"wheels/{wheel.file}": wheel.build() for wheel in wheels})
    into = tmp_path / "deep" / "out"
    into.mkdir(parents=True)
    bundle.install(made, bundle.Folder(into), sys.executable)
    return into


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (b'{"torch": "2.7.0"}', r"torch 2\.6\.0 \(there: 2\.7\.0\)"),
        (b"{}", r"torch 2\.6\.0 \(not there\)"),
        (b'{"torch": 2}', "does not name packages"),
        (b'["torch"]', "does not name packages"),
        (b"not JSON", "does not name packages"),
        (None, "cannot be read"),
    ],
)
def test_bundle_that_counts_on_another_image_is_not_installed(tmp_path: Path, image: bytes | None, said: str) -> None:
    packages = tmp_path / "packages.json"
    if image is not None:
        packages.write_bytes(image)
    wheel = SmallWheel()
    name, data = f"wheels/{wheel.file}", wheel.build()
    text = f"# image: torch==2.6.0\n{name} --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"
    made = make(tmp_path / "b.tar", {name: data}, text)
    with pytest.raises(BundleError, match=said):
        bundle.install(made, bundle.Folder(tmp_path / "out"), sys.executable, packages)
    assert list((tmp_path / "out").iterdir()) == []
    packages.write_bytes(image_packages.encode({"torch": "2.6.0", "numpy": "2"}))
    bundle.install(made, bundle.Folder(tmp_path / "out"), sys.executable, packages)
    # What counts on nothing needs no such file.
    packages.unlink()
    bundle.install(make(tmp_path / "b.tar", {name: data}), bundle.Folder(tmp_path / "other"), sys.executable, packages)


def test_files_are_laid_out_as_pip_does_for_a_target(tmp_path: Path) -> None:
    files = {
        "demo/__init__.py": X,
        "demo/helper": (b"#!/bin/sh\n", PROGRAM),
        "demo/from windows": (X, 0),
        "demo/a,b.txt": X,
        "demo-1.0.data/purelib/pure.py": X,
        "demo-1.0.data/platlib/plat.py": X,
        "demo-1.0.data/data/share/table.csv": X,
        "demo-1.0.data/scripts/tool": b"#!python -u\nprint('tool')\n",
        "demo-1.0.data/headers/demo.h": X,
    }
    into = install(tmp_path, SmallWheel(files=files))
    found = {
        path.relative_to(into).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in into.rglob("*")
        if path.is_file() and "dist-info" not in path.as_posix()
    }
    assert found == {
        "demo/__init__.py": 0o644,
        "demo/helper": 0o755,
        "demo/from windows": 0o644,
        "demo/a,b.txt": 0o644,
        "pure.py": 0o644,
        "plat.py": 0o644,
        "share/table.csv": 0o644,
        "bin/tool": 0o755,
    }
    assert (into / "bin/tool").read_bytes() == f"#!{sys.executable} -u\nprint('tool')\n".encode()


def test_console_scripts_are_programs(tmp_path: Path) -> None:
    entry_points = "[console_scripts]\nDemo-Tool = demo.cli:App.main [extra]\nno name = demo.cli:App\n[other]\na=b\n"
    files = {
        "demo/__init__.py": b"",
        "demo/cli.py": b"class App:\n    @staticmethod\n    def main():\n        print('ran'); return 3\n",
        "demo-1.0.dist-info/entry_points.txt": entry_points.encode(),
    }
    into = install(tmp_path, SmallWheel(files=files))
    done = subprocess.run([into / "bin/Demo-Tool"], env={"PYTHONPATH": str(into)}, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"ran\n"), done.stderr
    assert os.listdir(into / "bin") == ["Demo-Tool"]


def test_wheels_may_share_equal_files(tmp_path: Path) -> None:
    wheels = [SmallWheel(name, {"nvidia/__init__.py": b"", f"nvidia/{name}.py": X}) for name in ("a", "b", "c")]
    into = install(tmp_path, *wheels)
    assert sorted(path.name for path in (into / "nvidia").iterdir()) == ["__init__.py", "a.py", "b.py", "c.py"]


def test_file_in_common_runs_if_it_does_in_one_wheel(tmp_path: Path) -> None:
    into = install(tmp_path, SmallWheel("a", {"t/x": X}), SmallWheel("b", {"t/x": (X, PROGRAM)}))
    assert stat.S_IMODE((into / "t/x").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (
            {"same.py": b"1"},
            {"same.py": b"2"},
            "b-1.0-py3-none-any.whl and a-1.0-py3-none-any.whl have different files",
        ),
        ({"same.py": b"1"}, {"b-1.0.data/purelib/same.py": b"2"}, "different files 'same.py'"),
        ({"place": b"1"}, {"place/file.py": b"2"}, "'place', which is a file of a-1.0"),
        ({"place/deep/file.py": b"1"}, {"place": b"2"}, "'place', which is a folder of another wheel"),
        ({"a-1.0.data/data/bin/t": b"1"}, {"b-1.0.data/scripts/t": b"2"}, "different files 'bin/t'"),
    ],
)
def test_wheels_do_not_replace_each_others_files(
    tmp_path: Path, one: dict[str, bytes], two: dict[str, bytes], said: str
) -> None:
    with pytest.raises(BundleError) as raised:
        install(tmp_path, SmallWheel("a", one), SmallWheel("b", two))
    assert said in raised.value.message


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s"])
def test_record_may_have_any_hash_of_256_bits(tmp_path: Path, algorithm: str) -> None:
    assert (install(tmp_path, SmallWheel(files={"demo.py": X}, algorithm=algorithm)) / "demo.py").read_bytes() == X


def test_accepted_hashes_are_those_of_every_python() -> None:
    assert {"sha256", "sha3_256", "blake2b"} <= record.algorithms()
    assert record.algorithms().isdisjoint({"md5", "sha1", "sha224", "sha3_224", "shake_128", "shake_256"})


NO_WHEELS = {
    "another content than RECORD's": (
        SmallWheel(files={"demo.py": X}, hashes={"demo.py": "sha256=" + "A" * 43}),
        "'demo.py' differs from its hash in RECORD",
    ),
    "no hash": (SmallWheel(files={"demo.py": X}, hashes={"demo.py": ""}), "RECORD has no hash of 'demo.py'"),
    "a weak hash": (SmallWheel(files={"demo.py": X}, algorithm="md5"), "RECORD has a hash of kind 'md5'"),
    "a hash of 224 bits": (SmallWheel(files={"demo.py": X}, algorithm="sha3_224"), "a hash of kind 'sha3_224'"),
    "a short hash": (SmallWheel(files={"demo.py": X}, hashes={"demo.py": "sha256=AAAA"}), "a malformed hash"),
    "a hash that is not Base64": (SmallWheel(files={"demo.py": X}, hashes={"demo.py": "sha256=!"}), "a malformed hash"),
    "no RECORD": (SmallWheel(files={"demo.py": X}, record=False), "has no RECORD"),
    "metadata of another package": (SmallWheel(info="other-1.0.dist-info"), "has the metadata of another package"),
    "two folders of metadata": (SmallWheel(files={"more-1.dist-info/x": X}), "one folder .dist-info, and has 2"),
    "something before the zip": (SmallWheel(files={"demo.py": X}, prefix=b"#!/bin/sh\n"), "does not begin like a zip"),
    "a link": (SmallWheel(files={"demo.so": (b"/etc/passwd", LINK)}), "is a link or a device"),
    "an unknown scheme": (SmallWheel(files={"demo-1.0.data/other/x": X}), "of no known scheme"),
    "different files of one name": (SmallWheel(files={"demo.py": X}, twice=("demo.py", b"y")), "differs from its hash"),
    "bzip2": (SmallWheel(compression=zipfile.ZIP_BZIP2), "METADATA' is encrypted or not packed by Deflate"),
    "LZMA": (SmallWheel(compression=zipfile.ZIP_LZMA), "METADATA' is encrypted or not packed by Deflate"),
    "a long name": (SmallWheel(files={"x" * 256: X}), "has a part of more than 255 bytes"),
}


@pytest.mark.parametrize("kind", list(NO_WHEELS))
def test_wheel_that_breaks_a_rule_is_refused(tmp_path: Path, kind: str) -> None:
    wheel, said = NO_WHEELS[kind]
    with pytest.raises(BundleError) as raised, pytest.warns() if wheel.twice else _quiet():
        install(tmp_path, wheel)
    assert said in raised.value.message


class _quiet:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


ESCAPING = ["../x", "/x", "a/../../x", "a//x", "..", "a/./x", "a\\..\\x", "a\nx", "demo-1.0.data/purelib/../../../x"]


@pytest.mark.parametrize("name", ESCAPING)
def test_wheel_cannot_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="is not a path inside a folder"):
        install(tmp_path, SmallWheel(files={name: b"x"}))
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("damage", ["cut", "changed", "encrypted", "unknown method"])
def test_damaged_wheel_is_refused_without_traceback(tmp_path: Path, damage: str) -> None:
    content = bytearray(SmallWheel(files={"demo.py": X * 1000}, compression=zipfile.ZIP_DEFLATED).build())
    directory = content.index(b"PK\x01\x02")
    if damage == "cut":
        del content[-30:]
    elif damage == "changed":
        content[60] ^= 0xFF
    elif damage == "encrypted":
        content[6] |= 1
        content[directory + 8] |= 1
    else:
        content[directory + 10] = 93
    made = make(tmp_path / "b.tar", {"wheels/demo-1.0-py3-none-any.whl": bytes(content)})
    with pytest.raises(BundleError):
        bundle.install(made, bundle.Folder(tmp_path), sys.executable)


@pytest.mark.parametrize(
    "name",
    ["../wheels/a-1-py3-none-any.whl", "a-1-py3-none-any.whl", "wheels/a.tar", "wheels/b/a.whl", "wheels/demo.whl"],
)
def test_a_bundle_holds_wheels_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match=r"is not a wheel|is not the file name of a wheel"):
        bundle.install(
            make(tmp_path / "b.tar", {name: SmallWheel().build()}), bundle.Folder(tmp_path / "out"), sys.executable
        )


def test_a_bundle_holds_no_links(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        link = tarfile.TarInfo("wheels/a.whl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BundleError, match="not a file"):
        bundle.install(tmp_path / "b.tar", bundle.Folder(tmp_path / "out"), sys.executable)


@pytest.mark.parametrize("data", [b"", b"junk", bytes(10240)])
def test_file_that_is_not_a_bundle_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(data)
    with pytest.raises(BundleError):
        bundle.install(tmp_path / "b.tar", bundle.Folder(tmp_path / "out"), sys.executable)


def test_wheel_that_is_not_in_the_requirements_is_refused(tmp_path: Path) -> None:
    made = make(
        tmp_path / "b.tar", {f"wheels/{SmallWheel().file}": SmallWheel().build()}, "demo --hash=sha256:" + "0" * 64
    )
    with pytest.raises(BundleError, match=r"is not in the bundle's requirements\.txt"):
        bundle.install(made, bundle.Folder(tmp_path / "out"), sys.executable)


@pytest.mark.parametrize("changed", ["first", "second"])
@pytest.mark.parametrize("threads", [True, False])
def test_wheel_is_compared_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, threads: bool
) -> None:
    if not threads:  # as where the run may have one process

        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
    wheels = {name: SmallWheel(name, {f"{name}.py": b"x"}) for name in ("first", "second")}
    lines = [wheel.line(hashlib.sha256(wheel.build()).hexdigest()) for wheel in wheels.values()]
    data = {f"wheels/{wheel.file}": wheel.build() for wheel in wheels.values()}
    data[f"wheels/{wheels[changed].file}"] = b"not even a zip"
    path = make(tmp_path / "b.tar", data, "".join(lines))

    with pytest.raises(BundleError, match=f"^{changed}-.*is not in the bundle's requirements"):
        bundle.install(path, bundle.Folder(tmp_path / "out"), sys.executable)
    assert (tmp_path / "out" / "first.py").exists() is (changed == "second")


def test_umask_does_not_change_modes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        into = install(tmp_path, SmallWheel(files={"a.py": b"x", "bin/tool": (b"#!/bin/sh\n", PROGRAM)}))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((into / name).stat().st_mode) for name in ("a.py", "bin/tool")]
    assert modes == [0o644, 0o755]


def test_member_with_holes_is_refused(tmp_path: Path) -> None:
    wheel = SmallWheel()
    data = wheel.build()
    info = tarfile.TarInfo(f"wheels/{wheel.file}")
    info.size = len(data)
    info.pax_headers = {
        "GNU.sparse.map": f"0,{len(data)}",
        "GNU.sparse.size": str(len(data)),
        "GNU.sparse.numblocks": "1",
    }
    requirements = wheel.line(hashlib.sha256(data).hexdigest()).encode()
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(bundle.member("requirements.txt", len(requirements)), io.BytesIO(requirements))
        made.addfile(info, io.BytesIO(data))
    with tarfile.open(tmp_path / "b.tar") as made:
        assert made.getmembers()[1].issparse()
    with pytest.raises(BundleError, match="is not a file"):
        bundle.install(tmp_path / "b.tar", bundle.Folder(tmp_path / "out"), sys.executable)


def test_more_files_than_the_guest_has_inodes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "MAX_INODES", 10)
    install(tmp_path, SmallWheel(files={f"demo/{number}.py": b"" for number in range(4)}))
    (tmp_path / "more").mkdir()
    with pytest.raises(BundleError, match="more than 10 files and folders"):
        install(tmp_path / "more", SmallWheel(files={f"demo/{number}.py": b"" for number in range(6)}))


@pytest.mark.parametrize(
    ("tag", "runs"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("py313-none-any", True),
        ("cp313-cp313-manylinux_2_41_x86_64", True),
        ("cp313-cp313-manylinux_2_12_x86_64", True),
        ("cp313-cp313-manylinux_2_5_x86_64.manylinux1_x86_64", True),
        ("cp313-cp313-manylinux2010_x86_64", True),
        ("cp313-cp313-linux_x86_64", True),
        ("cp37-abi3-manylinux2014_x86_64", True),
        ("py3-none-manylinux_2_28_x86_64", True),
        ("cp313-none-manylinux_2_28_x86_64", True),
        ("cp313-cp313-manylinux_2_42_x86_64", False),
        ("cp313-cp313-musllinux_1_2_x86_64", False),
        ("cp313-cp313-manylinux_2_28_aarch64", False),
        ("cp313-cp313-win_amd64", False),
        ("cp313-cp313-macosx_11_0_arm64", False),
        ("cp313-cp313t-manylinux_2_28_x86_64", False),
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp314-abi3-manylinux_2_28_x86_64", False),
        ("py2-none-any", False),
        ("py314-none-any", False),
        ("py3-none-win_amd64", False),
    ],
)
def test_tags_say_whether_a_wheel_runs_in_the_guest(tag: str, runs: bool) -> None:
    assert WheelName.parse(f"demo-1.0-{tag}.whl").runs_in_guest() is runs


def test_every_platform_of_the_guest_is_in_the_list() -> None:
    numbered = {f"manylinux_2_{minor}_x86_64" for minor in range(5, 42)}
    named = {"manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"}
    assert set(guest.PLATFORMS) == numbered | named
    assert len(guest.PLATFORMS) == len(numbered | named)


@pytest.mark.parametrize(
    "name", ["demo.whl", "demo-1.0.whl", "demo-1.0-py3-none-any.zip", "../demo-1.0-py3-none-any.whl"]
)
def test_file_name_of_anything_but_a_wheel_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="is not the file name of a wheel"):
        OpenWheel(io.BytesIO(SmallWheel().build()), name)


def test_directory_of_a_wheel_is_counted_before_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = SmallWheel(files={"a.py": X, "b.py": X})
    data = io.BytesIO(wheel.build())
    monkeypatch.setattr(wheel_rules, "MAX_FILES", 4)
    monkeypatch.setattr(wheel_rules.zipfile, "ZipFile", None)
    with pytest.raises(BundleError, match="has 5 files; at most 4 are allowed"):
        OpenWheel(data, wheel.file)


def test_files_in_record_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MAX_PATHS", 5)
    install(tmp_path, SmallWheel(files={"a.py": X}))
    (tmp_path / "more").mkdir()
    with pytest.raises(BundleError, match="RECORD names more than 5 files"):
        install(tmp_path / "more", SmallWheel(files={f"{name}.py": X for name in "abcd"}))
