"""The root file system of an image as a folder and as a tar."""

import shutil
import tarfile
from pathlib import Path

import pytest

from cloister.process import run
from image.build import root_tree
from image.errors import ImageError
from image.inputs import host_tools


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an image with a small root file system."""
    tools = host_tools.ensure()
    monkeypatch.setattr(host_tools, "ensure", lambda: tools)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source, folder = tmp_path / "source", tmp_path / "image"
    (source / "usr/bin").mkdir(parents=True)
    folder.mkdir()
    (source / "usr/bin/program").write_text("program")
    (source / "usr/bin/program").chmod(0o755)
    (source / "usr/text").write_text("text")
    (source / "bin").symlink_to("usr/bin")
    run([*tools.argv("mkfs.erofs"), "--quiet", "-T0", str(folder / "root.erofs"), str(source)])
    return folder


def test_tree_is_unpacked_once(image: Path) -> None:
    folder = root_tree.unpacked(image)
    (folder / "mark").touch()

    assert (folder / "bin/program").read_text() == "program"
    assert (folder / "usr/bin/program").stat().st_mode & 0o777 == 0o755
    assert root_tree.unpacked(image) == folder
    assert (folder / "mark").exists()


def test_exported_tar_has_the_same_bytes_each_time(image: Path, tmp_path: Path) -> None:
    size = root_tree.export(image, tmp_path / "one.tar.gz")
    shutil.rmtree(root_tree.unpacked(image))
    root_tree.export(image, tmp_path / "two.tar.gz")

    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert size == (tmp_path / "one.tar.gz").stat().st_size
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert [(one.name, oct(one.mode), one.uid, one.mtime) for one in archive if one.isreg()] == [
            ("usr/bin/program", "0o755", 0, 0),
            ("usr/text", "0o644", 0, 0),
        ]


def test_image_that_is_not_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"has no root.erofs") as caught:
        root_tree.unpacked(tmp_path)

    assert caught.value.exit_code == 2
