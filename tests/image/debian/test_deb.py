"""A .deb is read without installing it; the error for a damaged one names it."""

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from image.debian import deb
from image.errors import ImageError
from tests.image.small_archive import make_deb

CONTROL = {"Package": "crun", "Version": "1.21-1"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "crun.deb"
    path.write_bytes(make_deb(CONTROL, {"usr/bin/crun": b"program"}, {"postinst": "true\n", "prerm": "false\n"}))
    return path


def test_package_is_read(package: Path) -> None:
    assert deb.control(package) == CONTROL
    with deb.open_data(package) as archive:
        assert archive.getnames() == ["./usr/bin/crun"]


def test_only_scripts_of_an_installation_are_returned(package: Path) -> None:
    assert deb.scripts(package) == {"postinst": b"true\n"}


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        (b"!<arch>", b"!<arc >", "it is not an ar archive"),
        (b"`\n", b"``", "header of an ar member is damaged"),
        (b"data.tar.xz", b"dato.tar.xz", r"data.tar\* is missing"),
        (b"data.tar.xz ", b"data.tar.zst", "Expected xz or gzip"),
    ],
)
def test_error_for_an_invalid_package_names_it(package: Path, find: bytes, replace: bytes, message: str) -> None:
    package.write_bytes(package.read_bytes().replace(find, replace))
    with pytest.raises(ImageError, match=message), deb.open_data(package):
        pass


def test_damaged_member_is_named(package: Path) -> None:
    content = package.read_bytes()
    start = content.rindex(b"\xfd7zXZ")
    assert lzma.decompress(content[start:].rstrip(b"\n"))
    package.write_bytes(content[: start + 20] + bytes(20) + content[start + 40 :])
    with pytest.raises(ImageError, match=r"crun.deb is damaged: cannot read data.tar.xz"), deb.open_data(package):
        pass


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"control": b""}, "control file is empty, or no text"),
        ({"control": b"Package: \xff"}, "control file is empty, or no text"),
        ({"control": b"Package: crun", "postinst": None}, "odd.deb is damaged: cannot read its control files"),
    ],
)
def test_odd_control_files_are_an_error(tmp_path: Path, files: dict[str, bytes | None], message: str) -> None:
    """``None`` is a link to nothing."""
    control = io.BytesIO()
    with tarfile.open(fileobj=control, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content or b"")
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "nothing"
            archive.addfile(member, io.BytesIO(content or b""))
    packed = lzma.compress(control.getvalue())
    header = f"{'control.tar.xz':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(packed):<10}`\n"
    (tmp_path / "odd.deb").write_bytes(b"!<arch>\n" + header.encode() + packed)
    with pytest.raises(ImageError, match=message):
        deb.control(tmp_path / "odd.deb")
