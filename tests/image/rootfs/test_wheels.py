"""Wheels are unpacked like an installer does, without files that the guest does not need."""

import zipfile
from pathlib import Path

import pytest

from image.errors import ImageError
from image.rootfs import wheels
from image.rootfs.tree import EntryKind, Tree, TreeEntry, Unwanted
from image.rootfs.workers import Workers


def unpacked(files: dict[str, Path], unwanted: Unwanted) -> Tree:
    with Workers(2) as workers:
        return wheels.unpack(files, folder="usr/lib/x", unwanted=unwanted, workers=workers)


def test_wheel_is_unpacked_into_the_package_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "small.whl", "w") as archive:
        archive.writestr("small/__init__.py", b"x = 1\n")
        archive.writestr("small/fast.abi3.so", b"\x7fELF")
        archive.writestr("small/tests/test_x.py", b"")
        archive.writestr("small-1.data/purelib/more.py", b"y = 2\n")
        archive.writestr("small-1.data/scripts/small", b"#!python")

    tree = unpacked({"small": tmp_path / "small.whl"}, Unwanted(["**/tests"]))

    assert {path: entry for path, entry in tree if entry.kind is EntryKind.FILE} == {
        "usr/lib/x/more.py": TreeEntry.file(b"y = 2\n"),
        "usr/lib/x/small/__init__.py": TreeEntry.file(b"x = 1\n"),
        "usr/lib/x/small/fast.abi3.so": TreeEntry.file(b"\x7fELF", executable=True),
    }


def test_damaged_wheel_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "small.whl").write_bytes(b"no zip")

    with pytest.raises(ImageError, match="wheel of small is damaged"):
        unpacked({"small": tmp_path / "small.whl"}, Unwanted([]))
