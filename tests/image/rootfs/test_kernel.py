"""Kernel modules are extracted with their dependencies, in loading order, and decompressed."""

from pathlib import Path

import pytest

from image.errors import ImageError
from image.rootfs import kernel
from tests.image.small_programs import compressed_module, module, package

FOLDER = "usr/lib/modules/6.12.1-cloud/kernel"
FILES = {
    "boot/vmlinuz-6.12.1-cloud": b"MZ kernel",
    "usr/lib/modules/6.12.1-cloud/modules.builtin": b"kernel/drivers/virtio/virtio.ko\n",
    f"{FOLDER}/dm-verity.ko.xz": compressed_module("dm_verity", "dm-mod,dm-bufio"),
    f"{FOLDER}/dm-mod.ko.xz": compressed_module("dm_mod"),
    f"{FOLDER}/dm-bufio.ko.xz": compressed_module("dm_bufio", "dm-mod"),
    f"{FOLDER}/erofs.ko": module("erofs", softdep="crc32 absent"),
    f"{FOLDER}/crc32.ko.xz": compressed_module("crc32", "virtio"),
    f"{FOLDER}/broken.ko.xz": compressed_module("broken", "nowhere"),
}


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    path = tmp_path / "linux.deb"
    path.write_bytes(package(FILES))
    return path


def test_modules_come_after_their_dependencies(deb: Path) -> None:
    found = kernel.extract(deb, [["dm-verity", "erofs", "virtio"], ["crc32"]])

    assert [[module.name for module in modules] for modules in found.modules] == [
        ["dm_mod", "dm_bufio", "dm_verity", "crc32", "erofs"],
        ["crc32"],
    ]
    assert (found.release, found.vmlinuz) == ("6.12.1-cloud", b"MZ kernel")


def test_modules_are_decompressed(deb: Path) -> None:
    assert kernel.extract(deb, [["dm_mod"]]).modules == ((kernel.Module("dm_mod", module("dm_mod")),),)


@pytest.mark.parametrize("name", ["nowhere", "broken"])
def test_module_that_is_neither_packaged_nor_built_in_is_an_error(deb: Path, name: str) -> None:
    with pytest.raises(ImageError, match="no module nowhere"):
        kernel.extract(deb, [[name]])


def test_a_package_without_a_kernel_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(package({"usr/x": b""}))

    with pytest.raises(ImageError, match="has no /boot/vmlinuz"):
        kernel.extract(tmp_path / "x.deb", [])
