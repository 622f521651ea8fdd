"""A full disk is reported with the folder and a hint, and leaves no partial files."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from cloister.errors import InputError
from image import disk_space
from image.build import output
from image.build.steps import Steps
from image.formats import contents
from image.formats.contents import Contents


def test_error_for_a_full_disk_names_the_folder_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught, disk_space.needed(tmp_path, "A remedy."):
        Path("/dev/full").write_bytes(b"x")
    assert caught.value.message == f"{tmp_path} cannot be written: No space left on device."
    assert caught.value.hint == "Free some space there and try again. A remedy."


def test_error_with_several_failed_copies_names_the_reason(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / "from" / name).mkdir(parents=True)
        (tmp_path / "from" / name / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="No space left on device"), disk_space.needed(tmp_path):
        shutil.copytree(tmp_path / "from", tmp_path / "to", copy_function=lambda a, b: shutil.copyfile(a, "/dev/full"))


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "broken"), PermissionError(errno.EACCES, "no", "/elsewhere"), shutil.Error([("a", "b", "c")])],
)
def test_other_errors_are_not_reported_as_a_full_disk(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(type(error)) as caught, disk_space.needed(tmp_path):
        raise error
    assert caught.value is error


def test_failed_write_keeps_the_previous_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output.write({"disk.raw": b"old"}, tmp_path / "base")

    def full(made: Contents, path: Path) -> None:
        os.symlink("/dev/full", path)
        path.write_bytes(b"".join(contents.pieces(made)))

    monkeypatch.setattr(contents, "write", full)
    with pytest.raises(InputError, match=f"{tmp_path} cannot be written"):
        output.write({"disk.raw": b"new"}, tmp_path / "base")
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    assert (tmp_path / "base" / "disk.raw").read_bytes() == b"old"


def test_step_that_cannot_be_kept_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        with open("/dev/full", "wb") as file:
            return file.write(content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"No space left on device.*cache --clear"):
        Steps(tmp_path, lambda _: None).file("Making", {}, lambda: b"1")
    assert list(tmp_path.iterdir()) == []
