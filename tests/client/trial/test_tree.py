"""A tree comes from one tar, unpacked once, and never writes outside of its folder."""

import fcntl
import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from cloister.client.trial import tree
from cloister.client.trial.tree import open_tree, python_packages, trees
from cloister.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cloister" / "trees"


def write(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of members: name, type, and text or destination."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
            else:
                member.linkname = text
                archive.addfile(member)
    return path


def test_tar_is_unpacked_once(tmp_path: Path, cache: Path) -> None:
    path = write(
        tmp_path / "root.tar.gz",
        ("bin", tarfile.SYMTYPE, "usr/bin"),
        ("usr", tarfile.DIRTYPE, ""),
        ("usr/bin/python3", tarfile.REGTYPE, "program"),
    )
    folder = open_tree(path)
    (folder / "mark").touch()

    assert folder.parent == cache == trees()
    assert (folder / "bin/python3").read_text() == "program"
    assert (folder / "usr/bin/python3").stat().st_mode & 0o777 == 0o755
    assert open_tree(path) == folder
    assert (folder / "mark").exists()


def test_a_new_tree_takes_the_place_of_those_that_were_not_used_for_long(tmp_path: Path, cache: Path) -> None:
    def opened(name: str) -> Path:
        return open_tree(write(tmp_path / f"{name}.tar.gz", ("usr", tarfile.DIRTYPE, ""), (name, tarfile.DIRTYPE, "")))

    def used(folder: Path, days: float) -> None:
        before = time.time() - days * 24 * 3600
        os.utime(folder.with_name(f"{folder.name}.lock"), (before, before))

    days = {"today": 0.5, "oldest": 9, "held": 8, "second": 2, "third": 3, "fourth": 4}
    folders = {name: opened(name) for name in days}
    for name, ago in days.items():
        used(folders[name], ago)
    with folders["held"].with_name(f"{folders['held'].name}.lock").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        new = opened("new")
    assert {name for name, folder in folders.items() if folder.exists()} == {"today", "second", "third", "held"}

    for name in ("today", "second", "third"):
        used(folders[name], 0.9)
    newer = opened("newer")
    assert {folder for folder in cache.iterdir() if folder.is_dir()} == {
        *(folders[name] for name in ("today", "second", "third")),
        new,
        newer,
    }


def test_python_packages_are_those_of_both_folders(tmp_path: Path) -> None:
    assert python_packages(tmp_path) == {}
    for entry in (
        "usr/lib/python3/dist-packages/torch-2.6.0+debian.dist-info",
        "usr/lib/python3/dist-packages/MarkupSafe-2.1.5.egg-info",
        "usr/lib/python3/dist-packages/python_dateutil-2.9.0-py3.13.egg-info",
        "usr/lib/python3/dist-packages/numpy-2.2.4.dist-info",
        "usr/lib/python3/dist-packages/numpy",
        "usr/local/lib/python3.13/dist-packages/numpy-2.3.0.dist-info",
    ):
        (tmp_path / entry).mkdir(parents=True)

    assert python_packages(tmp_path) == {
        "torch": "2.6.0+debian",
        "markupsafe": "2.1.5",
        "python-dateutil": "2.9.0",
        "numpy": "2.3.0",
    }


def test_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert open_tree(tmp_path) == tmp_path


HOSTILE = {
    "an absolute path": [("/tmp/x", tarfile.REGTYPE, "1")],
    "a path outside": [("usr/../../x", tarfile.REGTYPE, "1")],
    "a file through a link": [("a", tarfile.SYMTYPE, "/tmp"), ("a/x", tarfile.REGTYPE, "1")],
    "a file twice": [("a", tarfile.REGTYPE, "1"), ("a", tarfile.REGTYPE, "2")],
    "a file below a file": [("a", tarfile.REGTYPE, "1"), ("a/b", tarfile.REGTYPE, "2")],
    "a hard link": [("a", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [("a", tarfile.CHRTYPE, "")],
    "a pipe": [("a", tarfile.FIFOTYPE, "")],
    "a sparse file": [("a", tarfile.GNUTYPE_SPARSE, "")],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_tar_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path, what: str) -> None:
    path = write(tmp_path / "root.tar.gz", *HOSTILE[what])
    with pytest.raises(InputError, match=r"is not the root file system of a guest image") as caught:
        open_tree(path)

    assert caught.value.exit_code == 2
    assert [one.name for one in cache.iterdir() if one.is_dir()] == []


def test_size_of_a_tree_is_bounded(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_MAX_SIZE", 9)
    path = write(tmp_path / "root.tar.gz", ("a", tarfile.REGTYPE, "12345"), ("b", tarfile.REGTYPE, "12345"))
    with pytest.raises(InputError, match=r"is not the root file system of a guest image"):
        open_tree(path)
    assert [one.name for one in cache.iterdir() if one.is_dir()] == []


def test_tree_has_the_bytes_that_were_hashed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "root.tar.gz", ("a", tarfile.REGTYPE, "1"))
    make = tree._unpack

    def replaced(path: Path, folder: Path) -> None:
        write(path, ("a", tarfile.REGTYPE, "2"))
        make(path, folder)

    monkeypatch.setattr(tree, "_unpack", replaced)
    with pytest.raises(InputError, match=r"was changed while it was read"):
        open_tree(path)
    assert [one.name for one in cache.iterdir() if one.is_dir()] == []


def test_modes_are_those_of_a_guest_under_any_umask(tmp_path: Path) -> None:
    path = write(tmp_path / "root.tar.gz", ("usr/a", tarfile.REGTYPE, "1"), ("usr/l", tarfile.SYMTYPE, "../etc"))
    before = os.umask(0o077)
    try:
        folder = open_tree(path)
    finally:
        os.umask(before)
    assert (folder / "usr").stat().st_mode & 0o777 == (folder / "usr/a").stat().st_mode & 0o777 == 0o755
    assert os.readlink(folder / "usr/l") == "../etc"


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b\x08\x00cut"])
def test_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"root.tar.gz"):
        open_tree(tmp_path / "root.tar.gz")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.tar\.gz cannot be read: No such file"):
        open_tree(tmp_path / "nowhere.tar.gz")
