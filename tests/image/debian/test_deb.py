"""A .deb is read without installing it; the error for a damaged one names it."""

import lzma
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
