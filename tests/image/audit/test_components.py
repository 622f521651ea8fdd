"""Which code is in an image: sources of packages, code built into others, and the files that are there."""

from pathlib import Path

from image.audit.components import Component, components
from image.build.built_image import BuiltImage
from image.inputs.lockfile import Lock
from tests.image.audit import small_lock


def of_image(tmp_path: Path, made: Lock) -> list[Component]:
    image = BuiltImage.read(small_lock.image(tmp_path / "image", made))
    assert image.lock == made
    return components(made, paths(made), image.layers)


def paths(made: Lock) -> dict[str, Path]:
    from image import cache

    return {entry.sha256: cache.inputs() / entry.sha256 for entry in made.entries}


def test_every_source_is_a_component_with_its_files(cache_folder: Path, tmp_path: Path) -> None:
    found = {(one.package, one.name): one for one in of_image(tmp_path, small_lock.lock())}
    assert {key: (one.version, one.built_in, one.files) for key, one in found.items()} == {
        ("busybox-static", "busybox"): ("1:1.37.0-6", False, ("usr/bin/busybox",)),
        ("busybox-static", "glibc"): ("2.41-12+deb13u4", True, ("usr/bin/busybox",)),
        ("libc6", "glibc"): ("2.41-12+deb13u5", False, ("usr/lib/x86_64-linux-gnu/libc.so.6",)),
        ("libudev1", "systemd"): ("257.13-1", False, ("usr/lib/x86_64-linux-gnu/libudev.so.1",)),
        (small_lock.KERNEL.name, "linux"): ("6.12.1-1", True, (".linux of the UKI", "usr/lib/modules/virtio_net.ko")),
        (small_lock.KERNEL.name, "linux-signed-amd64"): (
            "6.12.1+1",
            False,
            (".linux of the UKI", "usr/lib/modules/virtio_net.ko"),
        ),
        ("systemd-boot-efi", "systemd"): ("257.13-1", False, (".text of the UKI",)),
        ("tzdata", "tzdata"): ("2026f-0+deb13u1", False, ()),
        ("Small_Pkg", "small-pkg"): ("1.5", False, ("usr/lib/cloister/Small_Pkg/__init__.py",)),
    }


def test_without_an_image_its_files_are_not_known(cache_folder: Path) -> None:
    made = small_lock.lock()
    assert {one.files for one in components(made, paths(made), None)} == {None}


def test_package_that_is_not_there_is_left_out(cache_folder: Path) -> None:
    made = small_lock.lock()
    only = {made.package("libc6").sha256: paths(made)[made.package("libc6").sha256]}
    assert [one.label for one in components(made, only, None)] == ["glibc 2.41-12+deb13u5 (in libc6 2.41-12+deb13u5)"]
