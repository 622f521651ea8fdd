"""Archives of every kind have one outcome, whether they are checked or unpacked."""

import io
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_runtime.runner.launch import LaunchError, unpack_dataset
from cloister.protocol.archives import unpacking
from cloister.protocol.archives.errors import ArchiveError, NotAnArchive
from cloister.protocol.archives.tree import ArchiveTree, Checking
from tests.archive_kinds import ACCEPTED, Kind
from tests.archive_refusals import NOT_ARCHIVES, REFUSED


def check(data: bytes, take: Callable[[bytes], object] = lambda data: None) -> unpacking.Contents:
    """Read an archive and keep nothing, as a client does."""
    return unpacking.read_into(io.BytesIO(data), ArchiveTree(Checking()), take)


def found(folder: Path) -> dict[str, bytes]:
    """The files below ``folder``; nothing else may be there than files and folders."""
    files = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            assert stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files


@pytest.mark.parametrize("kind", ACCEPTED, ids=lambda kind: kind.name)
def test_archive_is_unpacked_as_it_was_checked(tmp_path: Path, kind: Kind) -> None:
    data = kind.bytes()
    taken: list[bytes] = []
    contents = check(data, taken.append)
    assert b"".join(taken) == data
    (tmp_path / "data").write_bytes(data)
    unpack_dataset(tmp_path / "data", tmp_path / "out", contents.size)
    files = found(tmp_path / "out")
    assert files == kind.outcome
    assert contents.size == sum(map(len, files.values()))
    assert contents.entries == len(list((tmp_path / "out").rglob("*")))
    assert all((tmp_path / "out" / folder).is_dir() for folder in kind.folders)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_archive_is_refused_with_member_and_remedy(tmp_path: Path, kind: Kind) -> None:
    assert isinstance(kind.outcome, str)
    with pytest.raises(ArchiveError, match=kind.outcome) as caught:
        check(kind.bytes())
    assert caught.value.hint
    assert isinstance(caught.value, NotAnArchive) == (kind in NOT_ARCHIVES)
    assert str(caught.value).isprintable()
    (tmp_path / "data").write_bytes(kind.bytes())
    with pytest.raises(LaunchError, match=kind.outcome):
        unpack_dataset(tmp_path / "data", tmp_path / "deep" / "out", 1 << 30)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    found(tmp_path / "deep")


@pytest.mark.parametrize("kind", [kind for kind in ACCEPTED if any(kind.outcome.values())], ids=lambda kind: kind.name)
def test_one_byte_more_than_declared_is_refused(tmp_path: Path, kind: Kind) -> None:
    size = check(kind.bytes()).size
    (tmp_path / "data").write_bytes(kind.bytes())
    with pytest.raises(LaunchError, match="unpacked size"):
        unpack_dataset(tmp_path / "data", tmp_path / "out", size - 1)
    assert sum(map(len, found(tmp_path / "out").values())) < size


def test_a_program_stays_executable(tmp_path: Path) -> None:
    (program,) = (kind for kind in ACCEPTED if kind.name == "a program")
    (tmp_path / "data").write_bytes(program.bytes())
    unpack_dataset(tmp_path / "data", tmp_path / "out", 1000)
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o777 == 0o755


def test_names_of_kinds_differ() -> None:
    names = [(kind.name, kind.bytes()) for kind in [*ACCEPTED, *REFUSED]]
    assert len(set(names)) == len(names)
