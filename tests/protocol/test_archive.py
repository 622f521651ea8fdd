"""Archives depend only on their content, and a changed byte is detected."""

import hashlib
import os
import zipfile

import pytest

from cloister.errors import ProofError
from cloister.protocol import archive, names
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.foldertar import FolderTar
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


SAME = [("\u00fc.csv", "u\u0308.csv"), ("\u00fc/a", "u\u0308/b"), ("a/\u00fc", "a/u\u0308")]


@pytest.mark.parametrize("files", SAME)
def test_names_that_are_the_same_on_some_systems_are_refused(tmp_path, files):
    for name in files:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()
    with pytest.raises(ArchiveError, match="are the same name on some systems") as caught:
        FolderTar(tmp_path / "folder")
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
