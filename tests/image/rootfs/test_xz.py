"""Large and small files are decompressed to the same bytes; a damaged package is named, however large it is."""

import lzma
from pathlib import Path

import pytest

from image.debian import deb
from image.errors import ImageError
from image.inputs import host_tools
from image.rootfs import xz
from image.rootfs.xz import Xz
from tests.image.small_archive import make_deb


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_decompressed_bytes_are_the_same_for_any_size(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xz, "_SMALL", limit)
    unxz = Xz(host_tools.ensure().argv)
    for data in (b"", b"small", bytes(range(256)) * 5000):
        assert unxz(lzma.compress(data)) == data


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_damaged_package_is_named(tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xz, "_SMALL", limit)
    content = bytearray(make_deb({"Package": "crun"}, {"usr/bin/crun": b"program" * 100}))
    start = content.rindex(b"\xfd7zXZ")
    content[start + 30] ^= 1
    (tmp_path / "crun.deb").write_bytes(content)

    with pytest.raises(ImageError, match=r"crun\.deb is damaged: cannot read data\.tar\.xz"):
        deb.open_data(tmp_path / "crun.deb", Xz(host_tools.ensure().argv))
