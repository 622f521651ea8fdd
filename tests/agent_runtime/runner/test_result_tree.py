"""A tree of results that hostile code wrote, read by root."""

import os
import stat
from pathlib import Path

import pytest

from agent_runtime.runner.result_tree import InvalidResults, make_readable


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


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(4100):
        (tmp_path / str(number)).touch()
    with pytest.raises(InvalidResults):
        make_readable(tmp_path)
