"""What the container keeps of a run's output, and how it ends a run."""

import stat
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runtime.computation.logs import Logs
from agent_runtime.runner.container import (
    Container,
    RunnerPaths,
    is_marked,
    open_marker,
)
from agent_runtime.runner.kept_output import append_output, keep_output
from agent_runtime.runner.mounts import make_mount_points
from agent_runtime.runner.protocol import RunOutcome
from tests.agent_runtime.runner.test_protocol import JOB


@pytest.mark.parametrize(("printed", "kept"), [(0, 0), (9, 9), (10, 10), (11, 11), (1_000_000, 11)])
def test_output_beyond_the_limit_is_read_and_dropped(tmp_path: Path, printed: int, kept: int) -> None:
    with subprocess.Popen(["head", "-c", str(printed), "/dev/zero"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        keep_output(process.stdout, tmp_path / "output", 10)
    assert (tmp_path / "output").stat().st_size == kept
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("printed", "limit", "kept", "is_cut"),
    [
        (b"", 100, b"why\n", False),
        (b"ab\n", 100, b"ab\n\nwhy\n", False),
        (b"abc", 8, b"abc\nwhy\n", False),
        (b"abcd", 8, b"abcd\nwhy", True),
        (b"abcdefghijk", 10, b"abcde\nwhy\n", True),
        (b"abcdefghi", 8, b"abcd\nwhy", True),
        (b"abcd", 4, b"ab\nw", True),
        (b"", 4, b"why\n", False),
        (b"abcd", 2, b"a\n", True),
        (b"", 2, b"wh", True),
        (b"a", 0, b"", True),
    ],
)
def test_what_log_readers_must_know_has_room(
    tmp_path: Path, printed: bytes, limit: int, kept: bytes, is_cut: bool
) -> None:
    path = tmp_path / "output"
    path.write_bytes(printed[: limit + 1])
    logs = Logs(path, limit)
    shown = b"".join(logs.live().read(0))
    append_output(path, limit, "why")
    assert (b"".join(logs.whole().read(0)), logs.truncated) == (kept, is_cut)
    assert kept.startswith(shown)


@pytest.mark.parametrize(
    ("made", "outcome", "said"),
    [
        ("a\n", RunOutcome.RESULT_INVALID, '"results/a\\u000a" contains the control character U+000A.'),
        ("folder/", RunOutcome.NO_RESULT, "There is no file in results/."),
        ("a", RunOutcome.RESULT_LIMIT, "The files in results/ have 3 bytes; results.max is 2."),
    ],
)
def test_output_says_why_a_result_is_not_accepted(tmp_path: Path, made: str, outcome: RunOutcome, said: str) -> None:
    path = tmp_path / "results" / made
    path.parent.mkdir()
    path.mkdir() if made.endswith("/") else path.write_text("abc")
    (tmp_path / "output").write_text("trained\n")
    container = Container(RunnerPaths(base=tmp_path))
    assert container._check_results(replace(JOB, results=2)) is outcome
    assert (tmp_path / "output").read_text().startswith("trained\n\n")
    assert said in (tmp_path / "output").read_text()


def test_marker_shows_writes_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "launched"
    with open_marker(path) as marker:
        assert stat.S_IMODE(path.stat().st_mode) == 0o622
        assert not is_marked(marker)
        path.write_bytes(b"1")
        assert is_marked(marker)


def test_mount_points_are_empty_files_in_folders_that_anyone_can_list(tmp_path: Path) -> None:
    make_mount_points(tmp_path, ["train.py", "a/b/x", "a/b/y", "a/.z"])
    found = {path.relative_to(tmp_path).as_posix(): path.stat() for path in tmp_path.rglob("*")}
    assert sorted(found) == ["a", "a/.z", "a/b", "a/b/x", "a/b/y", "train.py"]
    assert all(stat.S_IMODE(one.st_mode) == 0o755 for one in found.values() if stat.S_ISDIR(one.st_mode))
    assert not any(one.st_size for one in found.values() if stat.S_ISREG(one.st_mode))
    with pytest.raises(FileExistsError):
        make_mount_points(tmp_path, ["a/b/x"])


# crun's child survives crun. It can be killed through its cgroup only, which does not exist at first.
SLOW_CRUN = """#!/bin/sh
(
    sleep 1.2
    mkdir {group}
    : >{group}/cgroup.kill
    tries=200
    until grep -q 1 {group}/cgroup.kill || [ "$tries" -eq 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
    echo "$tries" >{group}/left
) &
wait
"""


@pytest.mark.parametrize("how", ["stopped", "out of time"])
def test_run_is_ended_before_its_cgroup_exists(tmp_path: Path, how: str) -> None:
    group = tmp_path / "cgroups" / "run"
    group.parent.mkdir()
    crun = tmp_path / "crun"
    crun.write_text(SLOW_CRUN.format(group=group))
    crun.chmod(0o755)
    container = Container(RunnerPaths(base=tmp_path, cgroups=group.parent, crun=crun))
    if how == "stopped":
        threading.Timer(0.1, container.stop).start()
    (tmp_path / "oci").mkdir()

    def work() -> RunOutcome:
        container._run_crun({}, lambda output: output.read())
        return RunOutcome.OK

    container.guard.run(work, 60 if how == "stopped" else 1, container._kill, lambda: False)
    assert int((group / "left").read_text()) > 0
