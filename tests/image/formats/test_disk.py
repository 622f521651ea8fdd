"""The disk: a partition table and a FAT volume with known bytes, which other tools read."""

import hashlib
import struct
import zlib
from uuid import UUID

import pytest

from image.errors import ImageError
from image.formats import disk, fat, gpt

IDENTIFIER = UUID("11111111-1111-4111-8111-111111111111")
PARTITION = gpt.Partition("root", UUID(int=2), UUID(int=3), b"contents")


def test_a_small_disk_has_the_known_digest() -> None:
    # sfdisk --verify reports no error.
    assert (
        hashlib.sha256(gpt.disk([PARTITION], IDENTIFIER)).hexdigest()
        == "946fb94d644f53350704504ecd1d484764ddd4c67133f0c1ab33790d90da2afc"
    )


def test_both_headers_carry_valid_checksums_and_point_at_each_other() -> None:
    made = gpt.disk([PARTITION], IDENTIFIER)
    for offset in (512, len(made) - 512):
        header = bytearray(made[offset : offset + 92])
        (stored,) = struct.unpack_from("<I", header, 16)
        header[16:20] = bytes(4)
        mine, other = struct.unpack_from("<QQ", header, 24)
        (entries,) = struct.unpack_from("<Q", header, 72)
        (rows,) = struct.unpack_from("<I", header, 88)

        assert zlib.crc32(header) == stored
        assert (mine * 512, other * 512) == (offset, len(made) - 512 if offset == 512 else 512)
        assert zlib.crc32(made[entries * 512 : entries * 512 + 128 * 128]) == rows


def test_partitions_begin_at_whole_mebibytes_with_their_contents() -> None:
    second = gpt.Partition("more", UUID(int=4), UUID(int=5), b"x" * (gpt.ALIGNMENT + 1))
    made = gpt.disk([PARTITION, second], IDENTIFIER)

    assert made[gpt.ALIGNMENT :].startswith(b"contents")
    assert made[2 * gpt.ALIGNMENT :].startswith(b"x" * (gpt.ALIGNMENT + 1) + b"\0")
    assert len(made) == 5 * gpt.ALIGNMENT


def test_a_small_volume_has_the_known_digest() -> None:
    # fsck.fat 4.2 and mtools report no error.
    made = fat.volume({"EFI/BOOT/BOOTX64.EFI": b"program", "EFI/README.TXT": b"r" * 9000}, serial=0x12345678)

    assert hashlib.sha256(made).hexdigest() == "b075102b102791881ad2f40aecdbbe551fa4c6b68d2aa1fd135d71a858a92774"


def test_file_is_readable_through_its_cluster_chain() -> None:
    contents = bytes(range(256)) * 40
    made = fat.volume({"BIG.BIN": contents}, serial=1)
    (table_sectors,) = struct.unpack_from("<H", made, 22)
    top = (1 + 2 * table_sectors) * 512
    name, first, size = made[top + 32 : top + 43], *struct.unpack_from("<HI", made, top + 32 + 26)
    data, cluster, read = top + 512 * 32, first, b""
    while cluster != 0xFFFF:
        read += made[data + (cluster - 2) * 4096 :][:4096]
        (cluster,) = struct.unpack_from("<H", made, 512 + 2 * cluster)

    assert (name, size, read[:size]) == (b"BIG     BIN", len(contents), contents)


@pytest.mark.parametrize("path", ["EFI/BOOT/TOOLONGNAME.EFI", "lower.efi", "A/B.EFIX", ".EFI"])
def test_name_that_is_not_8_3_is_rejected(path: str) -> None:
    with pytest.raises(ImageError, match=r"not an 8\.3 name"):
        fat.volume({path: b""}, serial=1)


def test_root_hash_gives_the_identifiers_of_root_and_hash_tree() -> None:
    made = disk.build(b"uki", bytes(4096), bytes(8192), bytes(range(32)))
    identifiers = [made[1024 + 128 * index + 16 :][:16] for index in (1, 2)]

    assert identifiers == [UUID(bytes=bytes(range(16))).bytes_le, UUID(bytes=bytes(range(16, 32))).bytes_le]
