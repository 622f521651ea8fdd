"""The VHD: the raw disk followed by a footer, which other tools read."""

import json
from pathlib import Path

import pytest

from image.errors import ImageError
from image.formats import contents, vhd
from image.inputs import host_tools

MEBIBYTE = 1 << 20
DISK = b"".join(bytes([number]) * MEBIBYTE for number in range(3))


def test_footer_matches_the_specification() -> None:
    # Field by field: Microsoft, Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format".
    made = vhd.footer(3 * MEBIBYTE, bytes(range(16)))

    assert made == bytes.fromhex(
        "636f6e6563746978"  # conectix
        "00000002"  # no features
        "00010000"  # version 1.0
        "ffffffffffffffff"  # no dynamic header
        "00000000"  # 2000-01-01 00:00:00
        "77696e20000a00005769326b"  # "win ", 10.0, "Wi2k"
        "0000000000300000"
        "0000000000300000"
        "005a0411"  # 90 cylinders, 4 heads, 17 sectors
        "00000002"  # fixed
        "fffff089"
        "000102030405060708090a0b0c0d0e0f"
        "00"
    ).ljust(512, b"\0")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # Calculated by hand from the appendix "CHS Calculation": one line for each branch.
        (56 * MEBIBYTE, (963, 7, 17)),
        (200 * MEBIBYTE, (825, 16, 31)),
        (1024 * MEBIBYTE, (2080, 16, 63)),
        (64 * 1024 * MEBIBYTE, (32896, 16, 255)),
        (4096 * 1024 * MEBIBYTE, (65535, 16, 255)),
    ],
)
def test_geometry_is_calculated_as_the_appendix_says(size: int, expected: tuple[int, int, int]) -> None:
    assert vhd.geometry(size) == expected


def test_footer_identifier_depends_only_on_the_disk() -> None:
    assert vhd.build(DISK) == vhd.build(bytes(DISK))
    assert vhd.build(DISK)[1][68:84] != vhd.build(DISK[::-1])[1][68:84]


def test_qemu_reads_the_same_disk(tmp_path: Path) -> None:
    """The locked QEMU reads size and format from the footer, and the contents byte by byte."""
    raw, made = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    raw.write_bytes(DISK)
    contents.write(vhd.build(DISK), made)
    host = host_tools.ensure()
    described = json.loads(host.run("qemu-img", "info", "--output=json", "-f", "vpc", made).stdout)

    assert (described["format"], described["virtual-size"]) == ("vpc", len(DISK))
    assert host.run("qemu-img", "compare", "-f", "raw", "-F", "vpc", raw, made).stdout == b"Images are identical.\n"


@pytest.mark.parametrize("disk", [b"", DISK[:-512]])
def test_disk_without_whole_mebibytes_is_rejected(disk: bytes) -> None:
    with pytest.raises(ImageError, match="whole MiB"):
        vhd.build(disk)
