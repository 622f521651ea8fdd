"""The bundle: equal locks give equal bytes, what the launcher refuses is refused, and nothing incomplete is left."""

import hashlib
import json
import shutil
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cloister.client.packages import bundle as bundles
from cloister.client.packages.bundle import MissingLibrary, make_bundle, missing_warnings
from cloister.client.packages.wheels import WheelError
from cloister.client.script import imports
from cloister.errors import InputError
from cloister.protocol.wheels import bundle as form
from cloister.protocol.wheels.errors import BundleError
from tests.image.small_programs import elf_program
from tests.shared_files import INPUTS
from tests.small_wheels import SmallWheel


class Packages:
    """A cache of wheels and a lock of them."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.path = folder / "requirements.txt"
        self.output = folder / "out" / "x.bundle"
        self.output.parent.mkdir()
        self.digests: dict[str, str] = {}

    def add(self, *wheels: SmallWheel) -> None:
        """Put wheels into the cache and the lock."""
        for wheel in wheels:
            data = wheel.build()
            digest_hex = hashlib.sha256(data).hexdigest()
            (self.cache / digest_hex).mkdir(parents=True)
            (self.cache / digest_hex / wheel.file).write_bytes(data)
            self.digests[wheel.name] = digest_hex
            with self.path.open("a") as lock:
                lock.write(f"{wheel.name}=={wheel.version} --hash=sha256:{'0' * 64} --hash=sha256:{digest_hex}\n")

    def bundle(self) -> bundles.Bundle:
        """The bundle of the lock."""
        return make_bundle(self.path, self.output, cache=self.cache)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """No packages yet, and an index that has none."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return Packages(tmp_path)


TWO = (SmallWheel("b_two", {"two.py": b"two" * 100_000}, version="2"), SmallWheel("A_one", {"one.py": b"one"}))


def test_bundle_holds_lock_and_wheels_and_nothing_of_this_machine(packages: Packages) -> None:
    packages.add(*TWO)
    made = packages.bundle()
    data = made.path.read_bytes()
    assert (made.size, made.digest_hex) == (len(data), hashlib.sha256(data).hexdigest())
    with tarfile.open(made.path, "r:") as archive:
        members = archive.getmembers()
        found = {
            (member.name, member.mode, member.mtime, member.uid, member.gid, member.uname, member.gname, member.type)
            for member in members
        }
        names = ["requirements.txt", "wheels/A_one-1.0-py3-none-any.whl", "wheels/b_two-2-py3-none-any.whl"]
        assert [member.name for member in members] == names
        assert found == {(name, 0o644, 0, 0, 0, "", "", tarfile.REGTYPE) for name in names}
        written = archive.extractfile("requirements.txt")
        assert written is not None
        one, two = packages.digests["A_one"], packages.digests["b_two"]
        assert written.read().decode() == f"A_one==1.0 --hash=sha256:{one}\nb_two==2 --hash=sha256:{two}\n"
    assert [wheel.requirement.name for wheel in made.wheels] == ["A_one", "b_two"]


def test_bundle_is_the_same_bytes_everywhere(packages: Packages) -> None:
    packages.add(*TWO, LONG)
    made = packages.bundle()
    packages.path.write_text("\n\n".join(reversed(packages.path.read_text().splitlines())))
    again = packages.bundle()
    assert made.digest_hex == again.digest_hex
    # A literal: another Python, zone or umask must not change a bundle either.
    assert made.digest_hex == "8ea586d1e107955dd935c94ae1935c2890ffaca185913c594e6583897a24515b"


LONG = SmallWheel(
    "long", {"long.py": b""}, tag="cp313-cp313-" + ".".join(f"manylinux_2_{n}_x86_64" for n in range(17, 26))
)


@pytest.mark.parametrize("length", [*range(96, 103), 200, 255])
def test_wheel_name_of_any_length_is_bundled(packages: Packages, tmp_path: Path, length: int) -> None:
    plain = len(SmallWheel("n", {}).file)
    wheel = SmallWheel("n" * (length - plain + 1), {"long.py": b"x = 1"}, info="n.dist-info")
    wheel.info = f"{wheel.name}-1.0.dist-info"
    packages.add(wheel)
    made = packages.bundle()
    assert len(made.wheels[0].path.name) == length
    form.install(made.path, form.Folder(tmp_path / "into"), sys.executable)
    assert (tmp_path / "into" / "long.py").read_bytes() == b"x = 1"


def test_unpacked_size_and_inodes_are_what_the_launcher_makes(packages: Packages, tmp_path: Path) -> None:
    packages.add(*TWO, SmallWheel("c", {"c-1.0.data/scripts/run": b"#!python\n"}), WITH_PROGRAM)
    made = packages.bundle()
    form.install(made.path, form.Folder(tmp_path / "into"), sys.executable)
    files = [path for path in (tmp_path / "into").rglob("*") if path.is_file()]
    assert made.unpacked_size == sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    assert imports.read_bundle(made.path).size == made.unpacked_size  # as `manifest` compares it with limits.memory


WITH_PROGRAM = SmallWheel("p", {"p-1.0.dist-info/entry_points.txt": b"[console_scripts]\ntool = p:main\n"})

REFUSED = {
    "different files of one path": (
        [SmallWheel("a", {"x.py": b"1"}), SmallWheel("b", {"x.py": b"2"})],
        "different files",
    ),
    "a file and a folder": ([SmallWheel("a", {"x": b"1"}), SmallWheel("b", {"x/y": b"2"})], "which is a file of a-1.0"),
    "a program in a file": ([SmallWheel("a", {"bin": b"1"}), WITH_PROGRAM], "'bin', which is a file of a-1.0"),
    "a path outside": ([SmallWheel("a", {"../x": b"1"})], "is not a path inside a folder"),
    "a wrong hash": (
        [SmallWheel("a", {"x": b"1"}, hashes={"x": "sha256=" + "A" * 43})],
        "differs from its hash in RECORD",
    ),
    "a weak hash": ([SmallWheel("a", {"x": b"1"}, algorithm="sha1")], "a hash of kind 'sha1'"),
    "a link": ([SmallWheel("a", {"x": (b"y", stat.S_IFLNK | 0o777)})], "is a link or a device"),
    "metadata of another package": ([SmallWheel("a", info="b-1.0.dist-info")], "the metadata of another package"),
    "a prefix": ([SmallWheel("a", prefix=b"x")], "does not begin like a zip file"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_the_launcher_refuses_is_refused_before(packages: Packages, tmp_path: Path, kind: str) -> None:
    wheels, said = REFUSED[kind]
    packages.add(*wheels)
    with pytest.raises(BundleError) as raised:
        packages.bundle()
    assert said in raised.value.message
    assert raised.value.exit_code == 2
    assert list(packages.output.parent.iterdir()) == []


def test_wheels_with_equal_files_are_bundled(packages: Packages) -> None:
    packages.add(*(SmallWheel(name, {"nvidia/__init__.py": b"# shared\n"}, algorithm=kind) for name, kind in KINDS))
    made = packages.bundle()
    assert len(made.wheels) == 3
    assert imports.read_bundle(made.path).size == made.unpacked_size


KINDS = (("a", "sha256"), ("b", "sha512"), ("c", "blake2b"))


def test_library_that_nothing_has_is_named_with_its_package_and_the_better_one(packages: Packages) -> None:
    inside = {"cv2/cv2.so": elf_program(["libGL.so.1", "libz.so.1", "libown-1.so", "libnamed.so.2", "libc.so.6"])}
    packages.add(
        SmallWheel("opencv_python", inside | {"opencv_python.libs/libown-1.so": elf_program(["libc.so.6"])}),
        SmallWheel("other", {"other/lib/renamed.bin": elf_program([], soname="libnamed.so.2")}),
        SmallWheel(
            "gpu", {"gpu/a.so": elf_program(["libcuda.so.1"], before=9_000_000)}, compression=zipfile.ZIP_DEFLATED
        ),
        SmallWheel("arm", {"arm/a.so": elf_program(["libabsent.so"])[:18] + b"\xb7" + bytes(200), "b.so": b"\x7fELF"}),
    )
    for _ in range(2):  # the second time from what the first inspection kept
        gpu, opencv = packages.bundle().missing_libraries
        assert (opencv.library, opencv.package, opencv.file) == ("libGL.so.1", "opencv_python", "cv2/cv2.so")
        assert opencv.better == "opencv-python-headless"
        assert (gpu.library, gpu.package, gpu.better) == ("libcuda.so.1", "gpu", "")
        for_gpu, for_opencv = packages.bundle().library_warnings
        assert "Take opencv-python-headless in place of opencv-python: the guest has no display." in for_opencv
        assert "gpu needs libcuda.so.1 of a GPU's driver (gpu/a.so), and the guest has no GPU." in for_gpu


@pytest.mark.parametrize("kept", [b"{}", b"[", b'{"form": 1}', b'{"form": 2}', b"\xff"])
def test_wheel_is_inspected_again_when_what_was_kept_is_of_another_form(packages: Packages, kept: bytes) -> None:
    packages.add(*TWO)
    size = packages.bundle().unpacked_size
    found = sorted(packages.cache.glob("*/inspection.json"))
    assert len(found) == len(TWO)
    for path in found:
        path.write_bytes(kept)
    assert packages.bundle().unpacked_size == size


def test_inspection_of_an_older_version_is_not_used(packages: Packages) -> None:
    packages.add(*TWO)
    size = packages.bundle().unpacked_size
    for path in packages.cache.glob("*/inspection.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"form": 1, "files": []}))
    assert packages.bundle().unpacked_size == size


def test_libraries_that_one_package_misses_are_told_in_one_sentence() -> None:
    missing = [MissingLibrary(f"lib{name}.so.1", "cv", f"cv/{name}.so", "") for name in "abcdef"]
    missing += [MissingLibrary("libz.so.9", "other", "o.so", ""), MissingLibrary("libcuda.so.1", "cv", "cv/g.so", "")]

    assert missing_warnings(missing) == (
        "cv needs the libraries liba.so.1, libb.so.1, libc.so.1, libd.so.1 and 2 more (cv/a.so and others), which "
        "neither bundle nor guest has. What needs this fails when it is imported; the rest works.",
        "other needs the library libz.so.9 (o.so), which neither bundle nor guest has. What needs this fails when it "
        "is imported; the rest works.",
        "cv needs libcuda.so.1 of a GPU's driver (cv/g.so), and the guest has no GPU. What needs this fails when it is "
        "imported; the rest works.",
    )


def test_package_that_needs_more_of_the_cpu_is_named(packages: Packages) -> None:
    packages.add(SmallWheel("polars"), SmallWheel("polars_runtime_32"))
    (warning,) = packages.bundle().cpu_warnings
    assert warning.startswith("polars-runtime-32 needs a CPU with AVX2 and FMA")
    packages.add(SmallWheel("polars_runtime_compat"))
    assert packages.bundle().cpu_warnings == ()


def test_table_of_strings_in_the_middle_of_a_large_library_is_found(packages: Packages) -> None:
    program = elf_program(["libGL.so.1"], before=9_000_000)
    packages.add(SmallWheel("large", {"large.so": program + bytes(9_000_000)}, compression=zipfile.ZIP_DEFLATED))
    assert [one.library for one in packages.bundle().missing_libraries] == ["libGL.so.1"]


def test_wheel_that_changed_in_the_cache_does_not_get_into_a_bundle(packages: Packages) -> None:
    packages.add(*TWO)
    packages.bundle()
    (path,) = (packages.cache / packages.digests["A_one"]).glob("*.whl")
    path.write_bytes(path.read_bytes().replace(b"one", b"two"))
    with pytest.raises(WheelError, match="A_one"):
        packages.bundle()
    assert not path.exists()


def test_bundle_written_to_a_link_goes_to_its_target(packages: Packages, tmp_path: Path) -> None:
    packages.add(*TWO)
    (tmp_path / "disk").mkdir()
    packages.output.symlink_to(tmp_path / "disk" / "out.bundle")
    made = packages.bundle()
    assert (tmp_path / "disk" / "out.bundle").stat().st_size == made.size
    assert packages.output.is_symlink()


def test_failed_bundle_leaves_the_old_one_and_nothing_else(packages: Packages) -> None:
    packages.add(*TWO)
    packages.output.write_text("old")
    with packages.path.open("a") as lock:
        lock.write(f"absent==1 --hash=sha256:{'3' * 64}\n")
    with pytest.raises(WheelError, match="absent"):
        packages.bundle()
    assert [(path.name, path.read_text()) for path in packages.output.parent.iterdir()] == [("x.bundle", "old")]


def test_output_that_cannot_be_written_is_one_sentence(packages: Packages) -> None:
    packages.add(*TWO)
    packages.output.parent.rmdir()
    packages.output.parent.touch()
    with pytest.raises(InputError, match=r"out/x.bundle cannot be written: Not a directory\."):
        packages.bundle()


@pytest.mark.skipif(not INPUTS.is_dir(), reason="needs the shared inputs beside the checkout")
@pytest.mark.parametrize(
    ("folder", "file", "mode"),
    [
        ("06-wheels-with-one-file-in-common", "tests/__init__.py", 0o644),
        ("07-program-in-a-wheel", "demo_x/bin/tool", 0o755),
    ],
)
def test_shared_input_is_bundled_and_installed(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, file: str, mode: int
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(INPUTS / folder))
    shutil.copy(INPUTS / folder / "requirements.txt", packages.path)
    form.install(packages.bundle().path, form.Folder(tmp_path / "into"), sys.executable)
    assert stat.S_IMODE((tmp_path / "into" / file).stat().st_mode) == mode
