"""An image's folder is replaced as a whole or not at all."""

from pathlib import Path

import pytest

from cloister.errors import InputError
from image.build import output


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(output, "_exchange", lambda one, other: False)
    destination = tmp_path / "image" / "base"
    output.write({"disk.raw": b"old", "root": b"root"}, destination)
    disk = (destination / "disk.raw").open("rb")
    output.write({"disk.raw": b"new"}, destination)
    with disk:
        assert disk.read() == b"old"
    assert {path.name: path.read_bytes() for path in destination.iterdir()} == {"disk.raw": b"new"}
    assert [path.name for path in destination.parent.iterdir()] == ["base"]


def test_two_folders_are_exchanged_atomically(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    if output._exchange(tmp_path / "one", tmp_path / "other"):
        assert (tmp_path / "one" / "file").read_text() == "other"
    assert not output._exchange(tmp_path / "one", tmp_path / "absent")


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ("base", output.folder("base")),
        ("./elsewhere", Path("elsewhere")),
        ("out/image/base/", Path("out/image/base")),
        ("out/image/base/manifest.json", Path("out/image/base")),
    ],
)
def test_image_is_a_flavor_or_a_path_of_its_folder_or_manifest(words: str, folder: Path) -> None:
    assert output.locate(words) == folder


def test_image_that_is_neither_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"Unknown flavor 'absent'\. Known flavors: base, debug, pytorch\."):
        output.locate("absent")


@pytest.mark.parametrize(
    ("image", "command"),
    [
        (output.folder("base"), "`invoke image.build`"),
        (output.folder("pytorch") / "manifest.json", "`invoke image.build --flavor pytorch`"),
        (output.folder("ours"), "`invoke image.build --recipe PATH`"),
        (Path("/elsewhere/pytorch"), "`invoke image.build`"),
    ],
)
def test_a_missing_image_is_built_by_the_command_for_its_flavor(image: Path, command: str) -> None:
    assert output.building(image) == command
