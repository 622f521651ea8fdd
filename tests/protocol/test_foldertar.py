"""The tar of a folder: what others write, from any position, whatever the folder's dates and rights are."""

import io
import os
import random
import shutil
import tarfile
import time

import pytest

from cloister.errors import InputError
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.foldertar import FolderTar
from tests.protocol.test_names import TOGETHER


def content(folder):
    with FolderTar(folder) as tar:
        return tar.read()


def test_tar_depends_only_on_names_content_and_executable_bits(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, files in ((first, ("a", "b", "\u00fc")), (second, ("\u00fc", "b", "a"))):
        (folder / "sub").mkdir(parents=True)
        for name in files:
            (folder / "sub" / name).write_text(name)
    os.utime(second / "sub" / "a", (1, 1))
    (second / "sub" / "a").chmod(0o600)
    zone = os.environ.get("TZ")
    digest = content(first)
    os.environ["TZ"] = "Asia/Kathmandu"
    time.tzset()
    try:
        assert content(second) == digest
    finally:
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()
    (second / "sub" / "a").chmod(0o700)
    assert content(second) != digest


@pytest.mark.parametrize("target", ["/etc/passwd", "../a", "b", "sub", "link"])
def test_links_that_lead_to_no_file_of_the_folder_are_rejected(tmp_path, target):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "a").touch()
    (folder / "link").symlink_to(target)
    with pytest.raises(ArchiveError, match="link") as caught:
        content(folder)
    assert "cp -rL" in caught.value.hint


def test_pipes_are_rejected(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="pipe is neither a file nor a folder"):
        content(tmp_path)


def test_links_in_a_folder_count_as_their_files(tmp_path):
    linked, copied = tmp_path / "linked", tmp_path / "copied"
    for folder in (linked, copied):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub/a").write_text("content")
        (folder / "sub/a").chmod(0o755)
    (linked / "sub/b").symlink_to("../sub/a")
    (linked / "c").hardlink_to(linked / "sub/a")
    (linked / "d").symlink_to("sub/b")
    for name in ("sub/b", "c", "d"):
        shutil.copy(copied / "sub/a", copied / name)
    assert content(linked) == content(copied)
    assert FolderTar(linked).unpacked == 28


def test_folder_of_odd_names_becomes_a_tar_with_the_same_names(tmp_path):
    folder = tmp_path / "folder"
    for name in TOGETHER:
        (folder / name).mkdir(parents=True)
        (folder / name / name).write_text(name)
    with FolderTar(folder) as tar, tarfile.open(fileobj=tar) as packed:
        found = {member.name: packed.extractfile(member).read().decode() for member in packed if member.isreg()}
    assert found == {f"{name}/{name}": name for name in TOGETHER}


def test_folder_that_cannot_be_read_is_not_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "a").touch()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        content(tmp_path)


def _large(folder):
    """Files with sizes around those of blocks, folders, and a name that needs a header of its own."""
    (folder / "deep" / "er").mkdir(parents=True)
    for number, size in enumerate((0, 1, 511, 512, 513, 10_240, 100_000)):
        (folder / "deep" / f"{number}").write_bytes(os.urandom(size))
    (folder / "deep" / "er" / ("n" * 150)).write_bytes(b"long")
    (folder / "deep" / "program").write_bytes(b"#!")
    (folder / "deep" / "program").chmod(0o755)


def test_tar_is_what_tarfile_writes(tmp_path):
    folder = tmp_path / "folder"
    _large(folder)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*"), key=lambda one: one.relative_to(folder).as_posix().encode()):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            if path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            else:
                info.size, info.mode = path.stat().st_size, 0o755 if path.name == "program" else 0o644
                archive.addfile(info, io.BytesIO(path.read_bytes()))
    assert content(folder) == out.getvalue()
    assert FolderTar(folder).size == len(out.getvalue())


def test_tar_can_be_read_from_any_position_in_any_pieces(tmp_path):
    folder = tmp_path / "folder"
    _large(folder)
    whole = content(folder)
    chance = random.Random(0)
    with FolderTar(folder) as tar:
        for _ in range(300):
            at, size = chance.randrange(len(whole) + 100), chance.choice((1, 511, 512, 513, 4096, 200_000))
            assert tar.seek(at) == at
            buffer = bytearray(size)
            read = tar.readinto(buffer)
            assert buffer[:read] == whole[at : at + size]
            assert tar.tell() == at + read
        assert tar.seek(0, os.SEEK_END) == len(whole)


@pytest.mark.parametrize("size", [0, 5, 2000])
def test_file_that_changes_its_size_ends_the_reading(tmp_path, size):
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    with FolderTar(tmp_path) as tar:
        path.write_bytes(bytes(size))
        with pytest.raises(InputError, match="a was changed while the folder was read"):
            tar.read()


def _other(at, secret):
    (at.parent / "new").write_bytes(bytes(1000))
    (at.parent / "new").rename(at)


def _link(at, secret):
    at.unlink()
    at.symlink_to(secret / "a")


def _folder_link(at, secret):
    at.parent.rename(at.parent.with_name("away"))
    at.parent.symlink_to(secret)


def _pipe(at, secret):
    at.unlink()
    os.mkfifo(at)


@pytest.mark.parametrize(
    ("swap", "when"),
    [
        *((swap, "after it was listed") for swap in (_other, _link, _folder_link, _pipe)),
        *((swap, "between the list and its size") for swap in (_link, _folder_link, _pipe)),
    ],
)
def test_file_in_whose_place_is_another_one_is_not_read(tmp_path, monkeypatch, swap, when):
    """Someone else may write to the folder: what is outside of it has the same size."""
    folder, secret = tmp_path / "folder", tmp_path / "secret"
    for where in (folder / "sub", secret):
        where.mkdir(parents=True)
        (where / "a").write_bytes(b"s" * 1000 if where == secret else bytes(1000))
    at, real = folder / "sub" / "a", os.stat

    def swapped(path, *rest, **options):
        if str(path) == str(at):
            monkeypatch.setattr(os, "stat", real)
            swap(at, secret)
        return real(path, *rest, **options)

    if when != "after it was listed":
        monkeypatch.setattr(os, "stat", swapped)
    with pytest.raises(InputError, match="a was changed while the folder was read"), FolderTar(folder) as tar:
        if when == "after it was listed":
            swap(at, secret)
        tar.read()


def _rewrite(folder):
    (folder / "deep" / "1").write_bytes(b"2")


def _touch(folder):
    os.utime(folder / "deep" / "1", ns=(0, 0))


def _replace(folder):
    kept = (folder / "deep" / "1").stat()
    (folder / "new").write_bytes((folder / "deep" / "1").read_bytes())
    os.utime(folder / "new", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    (folder / "new").rename(folder / "deep" / "1")


CHANGES = {
    "rewritten": _rewrite,
    "touched": _touch,
    "replaced": _replace,
    "renamed": lambda folder: (folder / "deep" / "1").rename(folder / "deep" / "8"),
    "removed": lambda folder: (folder / "deep" / "0").unlink(),
    "added": lambda folder: (folder / "added").touch(),
    "folder added": lambda folder: (folder / "added").mkdir(),
    "made executable": lambda folder: (folder / "deep" / "1").chmod(0o755),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_identity_shows_every_change(tmp_path, change):
    folder = tmp_path / "folder"
    _large(folder)
    before = FolderTar(folder).identity
    assert FolderTar(folder).identity == before
    change(folder)
    assert FolderTar(folder).identity != before
