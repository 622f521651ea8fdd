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
        assert unxz(lzma.compress(data), len(data)) == data


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_damaged_package_is_named(tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xz, "_SMALL", limit)
    content = bytearray(make_deb({"Package": "crun"}, {"usr/bin/crun": b"program" * 100}))
    start = content.rindex(b"\xfd7zXZ")
    content[start + 30] ^= 1
    (tmp_path / "crun.deb").write_bytes(content)

    with pytest.raises(ImageError, match=r"crun\.deb is damaged: cannot read data\.tar\.xz"):
        deb.open_data(tmp_path / "crun.deb", Xz(host_tools.ensure().argv))


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_package_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tar is read into memory, and zeros take a thousandth of their size in a package."""
    monkeypatch.setattr(xz, "_SMALL", limit)
    monkeypatch.setattr(deb, "_LARGEST", {"data.tar": 1 << 20, "control.tar": 1 << 12})
    (tmp_path / "big.deb").write_bytes(make_deb({"Package": "big"}, {"usr/zeros": bytes(2 << 20)}))
    unxz = Xz(host_tools.ensure().argv)
    with pytest.raises(
        ImageError, match=r"big\.deb is damaged: cannot read data\.tar\.xz \(.* more than 1048576 bytes"
    ):
        deb.open_data(tmp_path / "big.deb", unxz)
    (tmp_path / "control.deb").write_bytes(make_deb({"Package": "big"}, {}, {"postinst": "0" * (1 << 13)}))
    with pytest.raises(
        ImageError, match=r"control\.deb is damaged: cannot read control\.tar\.\w+ \(it has more than 4096"
    ):
        deb.scripts(tmp_path / "control.deb")
