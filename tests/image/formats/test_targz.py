"""The tar has one sparse member, which other tools unpack to the same disk."""

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from image.errors import ImageError
from image.formats import contents, targz

GIBIBYTE = 1 << 30
GRANULE = 1 << 16


def disk(*granules: int, size: int) -> bytes:
    """``size`` granules, all zero except those listed."""
    made = bytearray(size * GRANULE)
    for granule in granules:
        made[granule * GRANULE + 100 : granule * GRANULE + 200] = b"x" * 100
    return bytes(made)


# All granules, both ends, and maps that fit into the header, need one more block, and need three.
DISKS = [
    disk(0, 1, 2, size=3),
    disk(0, 9, size=10),
    disk(3, size=10),
    disk(1, 3, 5, 7, size=10),
    disk(*range(1, 60, 2), size=60),
    disk(*range(0, 100, 2), size=99),
    disk(size=3),
]


def packed(raw: bytes) -> bytes:
    return b"".join(targz.build(raw))


@pytest.mark.parametrize("raw", DISKS)
def test_python_unpacks_the_same_disk_of_whole_gibibytes(raw: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(raw))) as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None
        assert (member.name, member.size, member.type) == ("disk.raw", GIBIBYTE, tarfile.GNUTYPE_SPARSE)
        assert file.read(len(raw)) == raw
        assert file.read(1 << 20) == bytes(1 << 20)


@pytest.mark.skipif(shutil.which("tar") is None, reason="tar is not installed")
@pytest.mark.parametrize("raw", DISKS)
def test_tar_unpacks_the_same_disk_and_leaves_holes(raw: bytes, tmp_path: Path) -> None:
    done = subprocess.run(
        ["tar", "--extract", "--gzip", "--verbose", "--directory", tmp_path],
        input=packed(raw),
        check=True,
        capture_output=True,
    )
    unpacked = tmp_path / "disk.raw"

    assert (done.stdout.split(), done.stderr) == ([b"disk.raw"], b"")
    assert (unpacked.stat().st_size, [path.name for path in tmp_path.iterdir()]) == (GIBIBYTE, ["disk.raw"])
    assert unpacked.stat().st_blocks * 512 <= len(raw) + (1 << 20)
    with unpacked.open("rb") as file:
        assert file.read(len(raw)) == raw


def test_zeros_are_not_written() -> None:
    assert len(packed(disk(5, size=4000))) < 2 * GRANULE


def test_a_small_disk_has_the_known_digest() -> None:
    """Independent of the machine's compression library. GNU tar 1.35 and gzip 1.12 report no error."""
    made = targz.build(DISKS[4])

    assert contents.sha256(made) == hashlib.sha256(b"".join(made)).hexdigest()
    assert contents.sha256(made) == "5a70c2399e2ee39912af5a06bbae0dd7267c50b6f92496228f6e5526ee15f058"


def test_archive_has_whole_records_and_no_time(tmp_path: Path) -> None:
    made = packed(DISKS[1])

    assert made[4:8] == bytes(4)
    assert len(gzip.decompress(made)) % 10240 == 0


@pytest.mark.parametrize("raw", [b"", bytes(700)])
def test_data_without_whole_sectors_is_rejected(raw: bytes) -> None:
    with pytest.raises(ImageError, match="whole sectors"):
        targz.build(raw)
