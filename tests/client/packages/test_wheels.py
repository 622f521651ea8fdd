"""Wheels are accepted because of their hash alone, and a package without one is named with kind and remedy."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from cloister.client.packages.requirements import Requirement
from cloister.client.packages.wheels import WheelError, fetch_wheels
from tests.small_wheels import SmallWheel

ONE = "1" * 64


def write_wheel(folder: Path, name: str, tag: str = "py3-none-any") -> str:
    """A small wheel ``name`` 1.0 in ``folder``; returns its SHA-256."""
    return SmallWheel(name, {f"{name}.py": b"VALUE = 1\n"}, tag=tag).write(folder)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_second_fetch_needs_no_index(index: Path, tmp_path: Path) -> None:
    digest_hex = write_wheel(index, "pure")
    lock = (Requirement("pure", "1.0", (ONE, digest_hex)),)
    first = fetch_wheels(lock, tmp_path / "cache")
    (index / "pure-1.0-py3-none-any.whl").unlink()
    assert fetch_wheels(lock, tmp_path / "cache") == first
    assert [(wheel.path.name, wheel.digest_hex) for wheel in first] == [("pure-1.0-py3-none-any.whl", digest_hex)]


def test_wheels_are_for_the_guest_and_not_for_this_python(index: Path, tmp_path: Path) -> None:
    lock = tuple(
        Requirement(name, "1.0", (write_wheel(index, name, tag=tag),))
        for name, tag in [
            ("cpython", "cp313-cp313-manylinux_2_28_x86_64"),
            ("newest", "cp313-cp313-manylinux_2_41_x86_64"),
            ("oldest", "cp313-cp313-manylinux2014_x86_64"),
            ("older", "cp313-cp313-manylinux_2_12_x86_64"),
            ("eldest", "cp313-cp313-manylinux1_x86_64"),
            ("untagged", "cp313-cp313-linux_x86_64"),
            ("stable", "cp311-abi3-manylinux_2_34_x86_64"),
            ("long", "cp313-cp313-" + ".".join(f"manylinux_2_{minor}_x86_64" for minor in range(17, 26))),
        ]
    )
    assert [wheel.requirement for wheel in fetch_wheels(lock, tmp_path / "cache")] == list(lock)


@pytest.mark.parametrize(
    "tag", ["cp312-cp312-manylinux_2_28_x86_64", "cp313-cp313-manylinux_2_28_aarch64", "cp313-cp313-win_amd64"]
)
def test_wheel_for_another_interpreter_is_refused(index: Path, tmp_path: Path, tag: str) -> None:
    right = write_wheel(index, "pure")
    lock = (
        Requirement("alien", "1.0", (write_wheel(index, "alien", tag=tag),)),
        Requirement("pure", "1.0", (right,)),
    )
    with pytest.raises(WheelError) as raised:
        fetch_wheels(lock, tmp_path / "cache")
    said = "alien 1.0 has wheels for other systems or Pythons, and none for CPython 3.13 on x86-64 Linux."
    assert (raised.value.message, raised.value.exit_code) == (said, 2)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("antlr4-python3-runtime", "pip wheel --no-deps antlr4-python3-runtime==1.0"),
        ("psycopg2", "Take psycopg2-binary in place of psycopg2"),
    ],
)
def test_package_without_a_wheel_is_named_and_not_the_others(
    index: Path, tmp_path: Path, name: str, remedy: str
) -> None:
    with tarfile.open(index / f"{name}-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(f"{name}-1.0/setup.py")
        archive.addfile(member, io.BytesIO())
    lock = (Requirement(name, "1.0", (ONE,)), Requirement("pure", "1.0", (write_wheel(index, "pure"),)))
    with pytest.raises(WheelError) as raised:
        fetch_wheels(lock, tmp_path / "cache")
    assert raised.value.message == f"{name} 1.0 is published as source code only, and a bundle takes wheels."
    assert remedy in raised.value.hint


def test_wheel_with_another_hash_is_refused(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "pure")
    with pytest.raises(WheelError, match=r"^pure: the wheel for CPython 3\.13 .* has a hash that is not locked"):
        fetch_wheels((Requirement("pure", "1.0", (ONE,)),), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_package_that_no_index_has_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(WheelError, match=r"^absent 2 was not found with one of its locked hashes"):
        fetch_wheels((Requirement("absent", "2", (ONE,)),), tmp_path / "cache")


def test_damaged_wheel_in_the_cache_is_fetched_again(index: Path, tmp_path: Path) -> None:
    lock = (Requirement("pure", "1.0", (write_wheel(index, "pure"),)),)
    (wheel,) = fetch_wheels(lock, tmp_path / "cache")
    wheel.path.write_bytes(wheel.path.read_bytes()[:-1])
    assert fetch_wheels(lock, tmp_path / "cache") == (wheel,)
    assert hashlib.sha256(wheel.path.read_bytes()).hexdigest() == wheel.digest_hex
