"""Hash-locked requirements, and wheels that are accepted because of their hash alone."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from cloister.client.computation.wheels import (
    Requirement,
    WheelError,
    fetch_wheels,
    parse_requirements,
    read_requirements,
)
from cloister.errors import InputError

ONE = "1" * 64
TWO = "2" * 64


def write_wheel(folder: Path, name: str, content: bytes = b"VALUE = 1\n", tag: str = "py3-none-any") -> str:
    """A minimal wheel ``name`` 1.0 in ``folder``; returns its SHA-256."""
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_locked_file_is_read_sorted_by_name() -> None:
    text = f"""# a comment
numpy==2.4.6 \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
    # via another

Ab_c[extra]==1.0+local --hash=sha256:{ONE}  # at the end
"""
    assert parse_requirements(text, what="r.txt") == (
        Requirement("Ab_c", "1.0+local", (ONE,)),
        Requirement("numpy", "2.4.6", (ONE, TWO)),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("numpy==2.4.6\n", "r.txt, line 1: numpy==2.4.6 has no --hash."),
        (f"# first\n\nnumpy>=2 --hash=sha256:{ONE}\n", "r.txt, line 3: 'numpy>=2' is not name==version."),
        (
            f"numpy==2 --hash=md5:{ONE[:32]}\n",
            f"'--hash=md5:{ONE[:32]}' is not --hash=sha256: with 64 hexadecimal digits.",
        ),
        (f"numpy==2 --hash=sha256:{ONE[1:]}\n", "is not --hash=sha256:"),
        (f"numpy==2 sha256:{ONE}\n", "is not --hash=sha256:"),
        (f"a-b==1 --hash=sha256:{ONE}\nA_B==2 --hash=sha256:{TWO}\n", "r.txt, line 2: A_B occurs twice."),
        (f"a==1 ; python_version < '3' --hash=sha256:{ONE}\n", "r.txt, line 1: environment markers are not supported."),
        ("-r other.txt\n", "r.txt, line 1: '-r' is not name==version."),
        ("--index-url x\n", "r.txt, line 1: '--index-url' is not name==version."),
        (f"a @ file:///x --hash=sha256:{ONE}\n", "r.txt, line 1: 'a' is not name==version."),
        ("\n# nothing\n", "r.txt has no packages."),
    ],
)
def test_line_that_is_not_locked_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_requirements(text, what="r.txt")
    assert said in raised.value.message


def test_missing_and_binary_requirements_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_requirements(tmp_path / "absent.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8"):
        read_requirements(tmp_path / "binary.txt")


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
            ("stable", "cp311-abi3-manylinux_2_34_x86_64"),
        ]
    )
    assert [wheel.requirement for wheel in fetch_wheels(lock, tmp_path / "cache")] == list(lock)


@pytest.mark.parametrize(
    "tag", ["cp312-cp312-manylinux_2_28_x86_64", "cp313-cp313-manylinux_2_28_aarch64", "cp313-cp313-win_amd64"]
)
def test_wheel_for_another_interpreter_is_refused(index: Path, tmp_path: Path, tag: str) -> None:
    lock = (Requirement("alien", "1.0", (write_wheel(index, "alien", tag=tag),)),)
    with pytest.raises(WheelError, match="pip could not download alien"):
        fetch_wheels(lock, tmp_path / "cache")


def test_wheel_with_another_hash_is_refused(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "pure")
    with pytest.raises(WheelError, match="pip could not download pure"):
        fetch_wheels((Requirement("pure", "1.0", (ONE,)),), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_damaged_wheel_in_the_cache_is_fetched_again(index: Path, tmp_path: Path) -> None:
    lock = (Requirement("pure", "1.0", (write_wheel(index, "pure"),)),)
    (wheel,) = fetch_wheels(lock, tmp_path / "cache")
    wheel.path.write_bytes(wheel.path.read_bytes()[:-1])
    assert fetch_wheels(lock, tmp_path / "cache") == (wheel,)
    assert hashlib.sha256(wheel.path.read_bytes()).hexdigest() == wheel.digest_hex
