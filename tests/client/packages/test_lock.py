"""Locking: exact versions with hashes for the guest's Python and platform, whatever the machine is."""

import io
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from cloister.cli.bundle import _facts
from cloister.client.packages import lock as locks
from cloister.client.packages.bundle import make_bundle
from cloister.client.packages.lock import PackageLockError, lock_requirements
from cloister.client.packages.requirements import read_requirements
from cloister.errors import InputError
from tests.small_wheels import SmallWheel

NATIVE = "cp313-cp313-manylinux_2_28_x86_64"


@pytest.fixture
def index(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip and uv can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    # One for all tests: uv keeps there what it asks the interpreter, and packages by the path of their index.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv"))
    for name in locks._INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return folder


def needing(name: str, *requires: str, version: str = "1.0", tag: str = "py3-none-any") -> SmallWheel:
    """A wheel that requires others."""
    return SmallWheel(name, {f"{name}.py": b""}, version=version, tag=tag, requires=requires)


def test_list_of_a_person_becomes_a_lock_for_the_guest(index: Path, tmp_path: Path) -> None:
    digests = {
        wheel.name: wheel.write(index)
        for wheel in (
            needing("top", "deep>=1", 'windows; sys_platform == "win32"', 'old; python_version < "3.13"'),
            needing("deep", tag=NATIVE),
            needing("linux"),
        )
    }
    (tmp_path / "limits.txt").write_text("deep<2\n")
    needing("deep", version="2.0", tag=NATIVE).write(index)
    path = tmp_path / "requirements.txt"
    path.write_text("top~=1.0\nlinux ; sys_platform == 'linux'\nmac ; sys_platform == 'darwin'\n-c limits.txt\n")
    made = lock_requirements(path)
    assert made.path == tmp_path / "requirements.lock"
    assert [(one.name, one.version, one.hashes) for one in made.requirements] == [
        (name, "1.0", (digests[name],)) for name in ("deep", "linux", "top")
    ]
    assert read_requirements(made.path).locked() == made.requirements
    assert "#   top\n" in made.path.read_text()
    assert str(tmp_path) not in made.path.read_text()


def test_lock_keeps_its_versions_until_told_otherwise(index: Path, tmp_path: Path) -> None:
    needing("top").write(index)
    (tmp_path / "r.txt").write_text("top\n")
    lock_requirements(tmp_path / "r.txt")
    needing("top", version="2.0").write(index)
    assert lock_requirements(tmp_path / "r.txt").requirements[0].version == "1.0"
    assert lock_requirements(tmp_path / "r.txt", upgrade=True).requirements[0].version == "2.0"


def test_bundle_locks_first_and_says_where(index: Path, tmp_path: Path) -> None:
    needing("top", "deep").write(index)
    needing("deep", tag=NATIVE).write(index)
    (tmp_path / "requirements.in").write_text("top>=1\n")
    made = make_bundle(tmp_path / "requirements.in", tmp_path / "x.bundle", cache=tmp_path / "cache")
    assert made.lock == tmp_path / "requirements.lock"
    assert [wheel.requirement.name for wheel in made.wheels] == ["deep", "top"]
    again = make_bundle(made.lock, tmp_path / "y.bundle", cache=tmp_path / "cache")
    assert (again.lock, again.digest_hex) == (None, made.digest_hex)


ADDRESSES = {
    "https://me:secret@packages.example/simple": "https://***@packages.example/simple",
    "https://packages.example/simple?token=secret": "https://packages.example/simple?***",
    "https://packages.example/simple#secret": "https://packages.example/simple#***",
    "https://me:secret@packages.example/?a=secret#secret": "https://***@packages.example/?***",
    "https://packages.example/basic/secret/org/python/simple/": "https://packages.example/***/***/***/python/simple/",
}
"""Addresses of indexes with a secret, and what is shown of each."""


def test_indexes_of_the_file_are_used_and_their_secrets_are_written_nowhere(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    needing("top").write(index)
    path = tmp_path / "r.txt"
    lines = "".join(f"--extra-index-url {address}\n" for address in ADDRESSES)
    path.write_text(f"{lines}--find-links index\ntop\n")
    made = make_bundle(path, tmp_path / "x.bundle", cache=tmp_path / "cache")
    assert made.index_lines[: len(ADDRESSES)] == tuple(f"--extra-index-url {shown}" for shown in ADDRESSES.values())
    assert "secret" not in repr(_facts(made))
    assert made.lock is not None
    assert b"secret" not in made.lock.read_bytes() + made.path.read_bytes()
    assert b"packages.example" not in made.lock.read_bytes() + made.path.read_bytes()


def test_folder_of_wheels_may_have_any_name(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    folder = tmp_path / "x --no-binary :all:"
    folder.mkdir()
    digest = needing("top").write(folder)
    path = tmp_path / "r.txt"
    path.write_text("--find-links x --no-binary :all:\ntop\n")
    made = make_bundle(path, tmp_path / "x.bundle", cache=tmp_path / "cache")
    assert [wheel.digest_hex for wheel in made.wheels] == [digest]


@pytest.mark.parametrize("name", ["constraints", "made.lock", "-needs.txt", "--quiet"])
def test_any_name_of_the_file_is_only_a_name(index: Path, tmp_path: Path, name: str) -> None:
    needing("top").write(index)
    (tmp_path / name).write_text("top\n")
    (tmp_path / "old.lock").write_text("")
    made = lock_requirements(tmp_path / name, tmp_path / "old.lock")
    assert [one.name for one in made.requirements] == ["top"]


@pytest.mark.parametrize("name", ["random", "pip", "glob", "uv"])
def test_modules_in_the_authors_folder_are_not_run(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    needing("top").write(index)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path(f"{name}.py").write_text("open('was run', 'w')\nraise SystemExit('the wrong module')\n")
    Path("r.txt").write_text("top\n")
    monkeypatch.setattr(shutil, "which", lambda program: None)  # uv is a module, too
    made = make_bundle(Path("r.txt"), Path("x.bundle"), cache=tmp_path / "cache")
    assert [wheel.requirement.name for wheel in made.wheels] == ["top"]
    assert not Path("was run").exists()


def test_hashes_that_a_line_has_are_kept(index: Path, tmp_path: Path) -> None:
    one = needing("top", tag=NATIVE).write(index)
    other = needing("top", tag="cp313-cp313-manylinux_2_17_x86_64").write(index)
    needing("deep").write(index)
    (tmp_path / "r.txt").write_text(f"top==1.0 --hash=sha256:{one}\ndeep\n")
    assert lock_requirements(tmp_path / "r.txt").requirements[1].hashes == (one,)
    assert other not in (tmp_path / "r.lock").read_text()
    (tmp_path / "r.txt").write_text(f"top==1.0 --hash=sha256:{'1' * 64}\ndeep\n")
    with pytest.raises(PackageLockError, match="no file of top in the index has one of the hashes"):
        lock_requirements(tmp_path / "r.txt")


def test_hashes_are_kept_where_uv_is_configured_to_write_extras(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.toml").write_text("[pip]\nno-strip-extras = true\n")
    monkeypatch.delenv("UV_NO_CONFIG")
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    needing("top").write(index)
    needing("other").write(index)
    path = tmp_path / "r.txt"
    path.write_text(f"top[x]==1.0 --hash=sha256:{'1' * 64}\nother\n")
    with pytest.raises(PackageLockError, match="no file of top in the index has one of the hashes"):
        lock_requirements(path)


def test_package_without_a_wheel_is_named_with_kind_and_remedy(index: Path, tmp_path: Path) -> None:
    with tarfile.open(index / "psycopg2-1.0.tar.gz", "w:gz") as archive:
        for name in ("setup.py", "PKG-INFO"):
            data = b"Metadata-Version: 2.1\nName: psycopg2\nVersion: 1.0\n" if name == "PKG-INFO" else b""
            member = tarfile.TarInfo(f"psycopg2-1.0/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (tmp_path / "r.txt").write_text("psycopg2\n")
    with pytest.raises(PackageLockError) as raised:
        lock_requirements(tmp_path / "r.txt")
    assert "psycopg2 is published as source code only" in raised.value.message
    assert raised.value.hint.startswith("Take psycopg2-binary in place of psycopg2")
    assert not (tmp_path / "r.lock").exists()


def test_package_for_other_systems_only_is_named(index: Path, tmp_path: Path) -> None:
    needing("alien", tag="cp313-cp313-win_amd64").write(index)
    (tmp_path / "r.txt").write_text("alien\n")
    with pytest.raises(PackageLockError, match=r"alien has no wheel for CPython 3\.13 on x86-64 Linux"):
        lock_requirements(tmp_path / "r.txt")


def test_missing_uv_is_one_sentence_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "uv", None)
    (tmp_path / "r.txt").write_text("idna\n")
    with pytest.raises(InputError) as raised:
        lock_requirements(tmp_path / "r.txt")
    assert (raised.value.exit_code, raised.value.hint) == (2, "Install it: pip install uv.")
