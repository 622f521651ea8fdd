"""Steps are cached for equal inputs, run again for changed ones, and leave nothing when interrupted."""

from pathlib import Path

import pytest

from image.build.steps import Steps


def test_step_with_equal_inputs_runs_once(tmp_path: Path) -> None:
    said: list[str] = []
    steps = Steps(tmp_path, said.append)
    made = [steps.run("Making", {"input": "a"}, lambda: {"x": b"1"}), steps.run("Making", {"input": "a"}, dict)]

    assert made == [{"x": b"1"}, {"x": b"1"}]
    assert said == ["Making", "Making (cached)"]


def test_step_with_other_inputs_or_another_name_runs_again(tmp_path: Path) -> None:
    steps = Steps(tmp_path, lambda _: None)
    steps.run("Making", {"input": "a"}, lambda: {"x": b"1"})

    assert steps.run("Making", {"input": "b"}, lambda: {"x": b"2"}) == {"x": b"2"}
    assert steps.run("Baking", {"input": "a"}, lambda: {"x": b"3"}) == {"x": b"3"}


def test_without_a_folder_nothing_is_cached() -> None:
    steps = Steps(None, lambda _: None)
    steps.run("Making", {}, lambda: {"x": b"1"})

    assert steps.run("Making", {}, lambda: {"x": b"2"}) == {"x": b"2"}


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> dict[str, bytes]:
        raise KeyboardInterrupt

    steps = Steps(tmp_path, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        steps.run("Making", {}, interrupted)

    assert list(tmp_path.iterdir()) == []
    assert steps.run("Making", {}, lambda: {"x": b"1"}) == {"x": b"1"}
