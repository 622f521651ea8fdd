"""Archives depend only on their content, and a changed byte is detected."""

import hashlib
import io
import os
import shutil
import tarfile
import time
import zipfile

import pytest

from cloister.errors import ProofError
from cloister.protocol import archive, names
from cloister.protocol.archives.errors import ArchiveError
from tests.protocol.test_names import TOGETHER


def _zip(path, members):
    with path.open("wb") as out:
        archive.write_zip(out, members)
    return path


def test_zip_depends_only_on_its_content(tmp_path):
    source = tmp_path / "model.json"
    source.write_bytes(b"{}" * 700_000)
    one = _zip(tmp_path / "one.zip", [("results/b", b"b"), ("results/a", source)])
    source.chmod(0o600)
    os.utime(source, (1, 1))
    two = _zip(tmp_path / "two.zip", [("results/a", source), ("results/b", b"b")])
    assert one.read_bytes() == two.read_bytes()
    assert archive.check_zip(one) == ["results/a", "results/b"]


def test_zip_has_known_bytes(tmp_path):
    path = _zip(tmp_path / "a.zip", [("results/a", b"content")])
    assert (
        hashlib.sha256(path.read_bytes()).hexdigest()
        == "1ef295514968460d9c82ba68b8e65f27a6ec64070eef98c6869e97f4f9c184cf"
    )


def test_every_flipped_byte_of_a_zip_is_detected(tmp_path):
    data = _zip(tmp_path / "a.zip", [("results/a", b"content"), ("results/\u00e4", b"more")]).read_bytes()
    for index in range(len(data)):
        changed = tmp_path / "b.zip"
        changed.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
        with pytest.raises(ProofError):
            archive.check_zip(changed)


@pytest.mark.parametrize("extra", ["comment", "appended", "deflated", "order"])
def test_zip_by_another_program_is_rejected(tmp_path, extra):
    path = tmp_path / "a.zip"
    kind = zipfile.ZIP_DEFLATED if extra == "deflated" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as out:
        for name in ("b", "a") if extra == "order" else ("a", "b"):
            out.writestr(zipfile.ZipInfo(name), b"content")
        if extra == "comment":
            out.comment = b"hello"
    if extra == "appended":
        path.write_bytes(path.read_bytes() + b"tail")
    with pytest.raises(ProofError):
        archive.check_zip(path)


def test_tar_depends_only_on_names_content_and_executable_bits(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, files in ((first, ("a", "b", "\u00fc")), (second, ("\u00fc", "b", "a"))):
        (folder / "sub").mkdir(parents=True)
        for name in files:
            (folder / "sub" / name).write_text(name)
    os.utime(second / "sub" / "a", (1, 1))
    (second / "sub" / "a").chmod(0o600)
    zone = os.environ.get("TZ")
    digest = archive.tar_digest(first)
    os.environ["TZ"] = "Asia/Kathmandu"
    time.tzset()
    try:
        assert archive.tar_digest(second) == digest
    finally:
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()
    out = io.BytesIO()
    archive.write_tar(out, first)
    assert (hashlib.sha256(out.getvalue()).digest(), len(out.getvalue())) == digest[:2]
    (second / "sub" / "a").chmod(0o700)
    assert archive.tar_digest(second) != digest


@pytest.mark.parametrize("target", ["/etc/passwd", "../a", "b", "sub", "link"])
def test_links_that_lead_to_no_file_of_the_folder_are_rejected(tmp_path, target):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "a").touch()
    (folder / "link").symlink_to(target)
    with pytest.raises(ArchiveError, match="link") as caught:
        archive.tar_digest(folder)
    assert "cp -rL" in caught.value.hint


def test_pipes_are_rejected(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="pipe is neither a file nor a folder"):
        archive.tar_digest(tmp_path)


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
    assert archive.tar_digest(linked) == archive.tar_digest(copied)
    assert archive.tar_digest(linked)[2] == 28


@pytest.mark.parametrize("name", ["", "/a", "../a", "a//b", "a/", "./a", "..\\b", "c:/a", "a\nb", "x" * 256, "\udcff"])
def test_name_is_refused_as_everywhere(name):
    with pytest.raises(ArchiveError) as caught:
        archive.check_name(name)
    assert caught.value.message == f"{names.shown(name)} {names.path_problem(name)}."
    assert caught.value.message.isprintable()


def test_result_of_odd_names_is_written_and_read(tmp_path):
    members = sorted(f"results/{name}/{name}" for name in TOGETHER)
    path = _zip(tmp_path / "a.zip", [(name, name.encode()) for name in members])
    assert archive.check_zip(path) == members


def test_folder_of_odd_names_becomes_a_tar_with_the_same_names(tmp_path):
    folder = tmp_path / "folder"
    for name in TOGETHER:
        (folder / name).mkdir(parents=True)
        (folder / name / name).write_text(name)
    out = io.BytesIO()
    archive.write_tar(out, folder)
    out.seek(0)
    with tarfile.open(fileobj=out) as packed:
        found = {member.name: packed.extractfile(member).read().decode() for member in packed if member.isreg()}
    assert found == {f"{name}/{name}": name for name in TOGETHER}


SAME = [("\u00fc.csv", "u\u0308.csv"), ("\u00fc/a", "u\u0308/b"), ("a/\u00fc", "a/u\u0308")]


@pytest.mark.parametrize("files", SAME)
def test_names_that_are_the_same_on_some_systems_are_refused(tmp_path, files):
    for name in files:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()
    with pytest.raises(ArchiveError, match="are the same name on some systems") as caught:
        archive.tar_digest(tmp_path / "folder")
    assert "u\\u0308" in caught.value.message
    with pytest.raises(ArchiveError, match="are the same name on some systems"):
        _zip(tmp_path / "a.zip", [(name, b"") for name in files])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        for name in sorted(files):
            packed.writestr(archive._member(name, 0), b"")
    with pytest.raises(ProofError, match="are the same name on some systems"):
        archive.check_zip(tmp_path / "b.zip")


def test_file_and_folder_of_one_name_are_refused(tmp_path):
    with pytest.raises(ArchiveError, match="a and a are the same name"):
        _zip(tmp_path / "a.zip", [("a", b""), ("a/b", b"")])


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
        archive.tar_digest(tmp_path)


def test_directory_is_counted_before_it_is_held(tmp_path, monkeypatch):
    path = _zip(tmp_path / "a.zip", [("a", b"1"), ("b", b"2"), ("c", b"3")])
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    monkeypatch.setattr(archive.zipfile, "ZipFile", None)
    with pytest.raises(ProofError, match=r"a\.zip must have at most 2 members"):
        archive.check_zip(path)


def test_members_that_overlap_are_not_copied(tmp_path):
    data = _zip(tmp_path / "a.zip", [("a", b"x" * 100), ("b", b"x" * 100)]).read_bytes()
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    size = (10**6).to_bytes(4, "little")
    (tmp_path / "b.zip").write_bytes(data[: second + 20] + size + size + data[second + 28 :])
    with pytest.raises(ProofError, match="overlap"):
        archive.check_zip(tmp_path / "b.zip")
