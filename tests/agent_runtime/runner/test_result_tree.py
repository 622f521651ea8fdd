"""A tree of results that hostile code wrote, read by root."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runtime.computation.results import collect_files
from agent_runtime.errors import AgentError
from agent_runtime.limits import Limits
from agent_runtime.runner.result_tree import PREFIX, InvalidResults, _ResultWalk, make_readable
from cloister.protocol import names
from cloister.protocol.archives.errors import ArchiveError
from tests.protocol.test_names import BESIDE_PROOF_FOLDER, IN_PROOF_FOLDER, TOGETHER


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_results_are_counted_and_made_readable(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir(mode=0o700)
    for name, size in (("a", 10), ("deep/b", 20)):
        path = tmp_path / name
        path.write_bytes(bytes(size))
        path.chmod(0o4000)
    assert make_readable(tmp_path) == (30, 2)
    assert stat.S_IMODE((tmp_path / "deep/b").stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o755


@pytest.mark.parametrize("where", ["a", "deep/a"])
@pytest.mark.parametrize("kind", ["link", "dangling", "folder link", "fifo", "socket"])
def test_anything_but_files_and_folders_is_refused(tmp_path: Path, where: str, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    results = tmp_path / "results"
    (results / "deep").mkdir(parents=True)
    path = results / where
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        target = {"link": outside / "secret", "dangling": outside / "none", "folder link": outside}[kind]
        path.symlink_to(target)
    with pytest.raises(InvalidResults):
        make_readable(results)
    assert stat.S_IMODE((outside / "secret").stat().st_mode) != 0o444


def test_a_results_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="results"):
        make_readable(tmp_path / "results")


@pytest.mark.parametrize(
    ("kind", "said"),
    [("link", "results/a is a link;"), ("pipe", "results/a is a pipe;"), ("socket", "results/a is a socket;")],
)
def test_anything_but_a_file_is_named_with_its_kind(tmp_path: Path, kind: str, said: str) -> None:
    if kind == "link":
        (tmp_path / "a").symlink_to("b")
    else:
        os.mknod(tmp_path / "a", (stat.S_IFIFO if kind == "pipe" else stat.S_IFSOCK) | 0o600)
    with pytest.raises(InvalidResults) as caught:
        make_readable(tmp_path)
    assert caught.value.problems == [f"{said} a result has files and folders only."]


def test_result_may_have_the_names_of_peoples_files(tmp_path: Path) -> None:
    for name in TOGETHER:
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("x")
    assert make_readable(tmp_path) == (len(TOGETHER), len(TOGETHER))
    found = collect_files(tmp_path, max_size=1000, limits=Limits())
    assert [file.name for file in found] == sorted(f"{name}/{name}" for name in TOGETHER)


@pytest.mark.parametrize("folder", ["", "deep/"])
@pytest.mark.parametrize("name", [b"a\nb", b"a\xffb", b"a\x1b[2J", "a\u202eb".encode(), b"c:", b"..\\x"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_file_and_rule_are_named(tmp_path: Path, folder: str, name: bytes, is_folder: bool) -> None:
    (tmp_path / "deep").mkdir()
    path = tmp_path / folder / os.fsdecode(name)
    path.mkdir() if is_folder else path.touch()
    with pytest.raises(InvalidResults) as caught:
        make_readable(tmp_path)
    (problem,) = caught.value.problems
    bare = os.fsdecode(name)
    assert problem == f"{names.shown(f'results/{folder}{bare}')} {names.problem(bare)}."
    assert problem.isascii()
    assert problem.isprintable()
    if not is_folder:
        with pytest.raises((AgentError, ArchiveError)):
            collect_files(tmp_path, max_size=1000, limits=Limits())


@pytest.mark.parametrize("name", IN_PROOF_FOLDER)
@pytest.mark.parametrize("is_folder", [False, True])
def test_folder_of_the_proof_is_not_the_runs(tmp_path: Path, name: str, is_folder: bool) -> None:
    top = name.partition("/")[0]
    (tmp_path / top).mkdir() if is_folder else (tmp_path / top).touch()
    (tmp_path / "model.json").touch()
    with pytest.raises(InvalidResults) as caught:
        make_readable(tmp_path)
    (problem,) = caught.value.problems
    assert problem == f"{names.shown(f'results/{top}')} has the name of the folder of the result's proof; rename it."
    if is_folder:
        (tmp_path / top / "x").touch()
    with pytest.raises(AgentError):
        collect_files(tmp_path, max_size=1000, limits=Limits())


def test_run_may_use_the_name_of_the_proof_deeper_and_in_longer_names(tmp_path: Path) -> None:
    for name in BESIDE_PROOF_FOLDER:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert make_readable(tmp_path) == (0, len(BESIDE_PROOF_FOLDER))
    found = collect_files(tmp_path, max_size=1000, limits=Limits())
    assert [file.name for file in found] == sorted(BESIDE_PROOF_FOLDER)


def test_names_that_are_the_same_on_some_systems_are_refused(tmp_path: Path) -> None:
    (tmp_path / "\u00fc").touch()
    (tmp_path / "u\u0308").touch()
    with pytest.raises(InvalidResults, match=r'"results/u\\u0308" and "results/\u00fc" are the same name'):
        make_readable(tmp_path)
    with pytest.raises(ArchiveError, match="are the same name"):
        collect_files(tmp_path, max_size=1000, limits=Limits())


def test_several_problems_are_named_but_not_all(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}\n").touch()
    with pytest.raises(InvalidResults) as caught:
        make_readable(tmp_path)
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1] == "There may be more."


@pytest.mark.parametrize("levels", [32, 33, 500])
def test_depth_is_bounded(tmp_path: Path, levels: int) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    if levels == 32:
        assert make_readable(tmp_path) == (0, 1)
        assert len(collect_files(tmp_path, max_size=1000, limits=Limits())) == 1
        return
    with pytest.raises(InvalidResults, match="lies 34 folders deep; at most 33"):
        make_readable(tmp_path)
    with pytest.raises((AgentError, ArchiveError)):
        collect_files(tmp_path, max_size=1000, limits=Limits())


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(4097):
        (tmp_path / str(number)).touch()
    with pytest.raises(InvalidResults, match="more than 4096 files"):
        make_readable(tmp_path)


def test_too_many_bytes_of_names_are_refused(tmp_path: Path) -> None:
    for number in range(2100):
        (tmp_path / f"{number:0250}").touch()
    with pytest.raises(InvalidResults, match="have more than 524288 bytes"):
        make_readable(tmp_path)


@pytest.mark.parametrize("kind", ["files", "folders", "folders in folders"])
def test_only_so_many_entries_are_looked_at(tmp_path: Path, kind: str) -> None:
    """A folder on the scratch disk may have any number of entries: neither their names nor their time are unbounded."""
    for number in range(100):
        place = tmp_path / (f"{number // 10}/{number}" if kind == "folders in folders" else str(number))
        if kind == "files":
            place.touch()
        else:
            place.mkdir(parents=True)
    walk = _ResultWalk(replace(Limits(), result_entries=50))
    with opened_folder(tmp_path) as descriptor, pytest.raises(InvalidResults, match="more than 50 files and folders"):
        walk.folder(descriptor, PREFIX)
    assert walk.entries == 51
