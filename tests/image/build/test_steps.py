"""Steps are cached for equal inputs, run again for changed ones, and leave nothing when interrupted."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from image.build.steps import Steps
from image.rootfs.tree import Tree, TreeEntry


def tree(contents: bytes) -> Tree:
    made = Tree()
    made.put("usr/bin/run", TreeEntry.file(contents, executable=True))
    made.put("bin", TreeEntry.link("usr/bin"))
    return made


def test_step_with_equal_inputs_runs_once(tmp_path: Path) -> None:
    said: list[str] = []
    steps = Steps(tmp_path, said.append)
    made = [steps.file("Making", {"input": "a"}, lambda: b"1"), steps.file("Making", {"input": "a"}, bytes)]

    assert made == [b"1", b"1"]
    assert said == ["Making", "Making (cached)"]


def test_trees_are_kept_with_their_names(tmp_path: Path) -> None:
    steps = Steps(tmp_path, lambda _: None)
    made = steps.trees("Making", {}, lambda: {"x": tree(b"1"), "y": tree(b"2")})
    again = steps.trees("Making", {}, dict)

    assert {name: list(one) for name, one in again.items()} == {name: list(one) for name, one in made.items()}


def test_step_with_other_inputs_or_another_name_runs_again(tmp_path: Path) -> None:
    steps = Steps(tmp_path, lambda _: None)
    steps.file("Making", {"input": "a"}, lambda: b"1")

    assert steps.file("Making", {"input": "b"}, lambda: b"2") == b"2"
    assert steps.file("Baking", {"input": "a"}, lambda: b"3") == b"3"


def test_without_a_folder_nothing_is_cached() -> None:
    steps = Steps(None, lambda _: None)
    steps.file("Making", {}, lambda: b"1")

    assert steps.file("Making", {}, lambda: b"2") == b"2"


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> bytes:
        raise KeyboardInterrupt

    steps = Steps(tmp_path, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        steps.file("Making", {}, interrupted)

    assert list(tmp_path.iterdir()) == []
    assert steps.file("Making", {}, lambda: b"1") == b"1"


def _other_size(kept: Path) -> None:
    (kept / "file").write_bytes(b"longer")


def _same_size_and_times(kept: Path) -> None:
    before = (kept / "file").stat()
    (kept / "file").write_bytes(b"2")
    os.utime(kept / "file", ns=(before.st_atime_ns, before.st_mtime_ns))


def _missing(kept: Path) -> None:
    (kept / "file").unlink()


def _no_digests(kept: Path) -> None:
    (kept / "digests.json").write_text("{}")


def _of_another_step(kept: Path) -> None:
    (kept / "digests.json").write_text((kept / "digests.json").read_text().replace(kept.name, "0" * 64))


def _writable_by_others(kept: Path) -> None:
    kept.chmod(0o777)


@pytest.mark.parametrize(
    "damage", [_other_size, _same_size_and_times, _missing, _no_digests, _of_another_step, _writable_by_others]
)
def test_what_is_kept_is_used_only_as_it_was_written(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    said: list[str] = []
    steps = Steps(tmp_path, said.append)
    steps.file("Making", {}, lambda: b"1")
    (kept,) = tmp_path.iterdir()
    damage(kept)

    assert steps.file("Making", {}, lambda: b"1") == b"1"
    assert steps.file("Making", {}, bytes) == b"1"
    assert said == ["Making", "Making", "Making (cached)"]
