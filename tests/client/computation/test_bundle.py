"""The bundle: equal locks give equal bytes, and nothing incomplete is left."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from cloister.client.computation.bundle import make_bundle
from cloister.client.computation.wheels import WheelError
from cloister.errors import InputError


def put(cache: Path, name: str, content: bytes) -> str:
    """A wheel's stand-in in the cache; returns its SHA-256."""
    digest_hex = hashlib.sha256(content).hexdigest()
    (cache / digest_hex).mkdir(parents=True)
    (cache / digest_hex / name).write_bytes(content)
    return digest_hex


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of two packages, both in the cache."""
    b = put(tmp_path / "cache", "b_two-2-py3-none-any.whl", b"two" * 100_000)
    a = put(tmp_path / "cache", "A_one-1-py3-none-any.whl", b"one")
    path = tmp_path / "requirements.txt"
    path.write_text(
        f"# any comment\nb-two==2 \\\n  --hash=sha256:{'0' * 64} --hash=sha256:{b}\nA.one==1 --hash=sha256:{a}\n"
    )
    return path


def test_bundle_holds_lock_and_wheels_and_nothing_of_this_machine(lock: Path, tmp_path: Path) -> None:
    made = make_bundle(lock, tmp_path / "out.bundle", cache=tmp_path / "cache")
    data = made.path.read_bytes()
    assert (made.size, made.digest_hex) == (len(data), hashlib.sha256(data).hexdigest())
    with tarfile.open(made.path, "r:") as archive:
        members = archive.getmembers()
        found = {
            (member.name, member.mode, member.mtime, member.uid, member.gid, member.uname, member.gname, member.type)
            for member in members
        }
        names = ["requirements.txt", "wheels/A_one-1-py3-none-any.whl", "wheels/b_two-2-py3-none-any.whl"]
        assert [member.name for member in members] == names
        assert found == {(name, 0o644, 0, 0, 0, "", "", tarfile.REGTYPE) for name in names}
        one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two" * 100_000))
        written = archive.extractfile("requirements.txt")
        assert written is not None
        assert written.read().decode() == f"A.one==1 --hash=sha256:{one}\nb-two==2 --hash=sha256:{two}\n"
    assert [wheel.requirement.name for wheel in made.wheels] == ["A.one", "b-two"]


def test_bundle_written_to_a_link_goes_to_its_target(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/out.bundle")
    made = make_bundle(lock, tmp_path / "link", cache=tmp_path / "cache")
    assert (tmp_path / "disk" / "out.bundle").stat().st_size == made.size
    assert (tmp_path / "link").is_symlink()


def test_bundle_is_the_same_bytes_everywhere(lock: Path, tmp_path: Path) -> None:
    made = make_bundle(lock, tmp_path / "out.bundle", cache=tmp_path / "cache")
    lock.write_text("\n\n".join(reversed(lock.read_text().replace("\\\n", "").splitlines())))
    again = make_bundle(lock, tmp_path / "again.bundle", cache=tmp_path / "cache")
    assert made.digest_hex == again.digest_hex
    # A literal: another Python, zone or umask must not change a bundle either.
    assert made.digest_hex == "9a86ef551636d6f03cb91f59ec1b8fc20dedd68869753eb8d200d7dc6727c286"


def test_failed_bundle_leaves_the_old_one_and_nothing_else(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "x.bundle").write_text("old")
    lock.write_text(lock.read_text() + f"absent==1 --hash=sha256:{'3' * 64}\n")
    with pytest.raises(WheelError, match="absent"):
        make_bundle(lock, folder / "x.bundle", cache=tmp_path / "cache")
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("x.bundle", "old")]


def test_wheel_with_a_name_too_long_leaves_nothing(tmp_path: Path) -> None:
    name = f"long-1-{'x' * 100}-none-any.whl"
    digest_hex = put(tmp_path / "cache", name, b"long")
    (tmp_path / "r.txt").write_text(f"long==1 --hash=sha256:{digest_hex}\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="at most 100 are supported in a bundle"):
        make_bundle(tmp_path / "r.txt", tmp_path / "out" / "x.bundle", cache=tmp_path / "cache")
    assert list((tmp_path / "out").iterdir()) == []


def test_output_that_cannot_be_written_is_one_sentence(lock: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent/x.bundle cannot be written: No such file or directory\."):
        make_bundle(lock, tmp_path / "absent" / "x.bundle", cache=tmp_path / "cache")
