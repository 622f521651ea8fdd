"""JSON has no control characters, and output to a link goes to its target."""

import json
import os
from pathlib import Path

import pytest

from cloister.cli.shell import show
from cloister.errors import InputError

SPEAKING = "Jos\u00e9 \u009b2J \u202e \x1b[1m \U000e0041 \U0001f600"


def test_json_has_the_value_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": SPEAKING, "more": [1, True, None]}
    show.facts(value)
    said = capsys.readouterr().out
    assert json.loads(said) == value
    assert "José" in said
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("there", [True, False])
def test_output_to_a_link_goes_to_its_target(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk" / "file").write_bytes(b"before")
    (tmp_path / "near").symlink_to("disk/file")
    (tmp_path / "far").symlink_to(tmp_path / "near")

    show.write_file(tmp_path / "far", b"content")

    assert (tmp_path / "disk" / "file").read_bytes() == b"content"
    assert [path.is_symlink() for path in (tmp_path / "far", tmp_path / "near")] == [True, True]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["disk", "far", "file", "near"]


def test_link_to_a_special_file_is_rejected_and_kept(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "disk").symlink_to("not-mounted/file")
    with (tmp_path / "gone").open("wb") as gone:
        (tmp_path / "gone").unlink()
        (tmp_path / "open").symlink_to(f"/proc/self/fd/{gone.fileno()}")
        for name in ("link", "circle", "disk", "open"):
            with pytest.raises(InputError, match=f"{name} cannot be written: "):
                show.write_file(tmp_path / name, b"content")

    left = {path.name: path.is_symlink() for path in tmp_path.iterdir()}
    assert left == {"pipe": False, "link": True, "circle": True, "disk": True, "open": True}
