"""Archives depend only on their content, and a changed byte is detected."""

import hashlib
import io
import os
import time
import zipfile

import pytest

from cloister.errors import ProofError
from cloister.protocol import archive
from cloister.protocol.archive import ArchiveError


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
    for folder, names in ((first, ("a", "b", "\u00fc")), (second, ("\u00fc", "b", "a"))):
        (folder / "sub").mkdir(parents=True)
        for name in names:
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
    assert (hashlib.sha256(out.getvalue()).digest(), len(out.getvalue())) == digest
    (second / "sub" / "a").chmod(0o700)
    assert archive.tar_digest(second) != digest


def test_links_and_devices_are_rejected(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArchiveError, match="links and devices"):
        archive.tar_digest(folder)


@pytest.mark.parametrize(
    "name", ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "c:/a", "a\nb", "x" * 1025, "\udcff"]
)
def test_name_that_leaves_its_folder_is_rejected(name):
    with pytest.raises(ArchiveError):
        archive.check_name(name)


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200b", "\u2028", "\u2029", "\ufeff"])
def test_name_with_invisible_characters_is_rejected(char):
    with pytest.raises(ArchiveError, match=f"U\\+{ord(char):04X}") as caught:
        archive.check_name(f"results/a{char}b")
    assert char not in caught.value.message
