"""Extents of a disk that are not zero, in memory and in a file with holes."""

import itertools
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from image.formats.sparse import Extent, extents, file_extents

MEBIBYTE = 1 << 20


@given(st.sets(st.integers(0, 40)), st.integers(0, 511))
def test_extents_contain_data_and_everything_else_is_zero(pages: set[int], at: int) -> None:
    data = bytearray(41 * 512 + 300)
    for page in pages:
        data[min(page * 512 + at, len(data) - 1)] = 1
    found = extents(bytes(data), 512)
    rest = bytearray(data)
    for extent in found:
        for offset in range(extent.offset, extent.end, 512):
            assert any(data[offset : min(offset + 512, extent.end)])
        rest[extent.offset : extent.end] = bytes(extent.size)

    assert not any(rest)
    assert all(one.end < other.offset for one, other in itertools.pairwise(found))


def test_a_file_with_holes_has_the_same_extents(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 * MEBIBYTE + 512)
        for offset in (0, 10 * MEBIBYTE - 512, 10 * MEBIBYTE, 30 * MEBIBYTE + 5120, 64 * MEBIBYTE):
            file.seek(offset)
            file.write(b"x" * 512)
    with path.open("rb") as file:
        found = file_extents(file.fileno(), os.fstat(file.fileno()).st_size, 512)

    assert found == extents(path.read_bytes(), 512)
    assert found == [
        Extent(0, 512),
        Extent(10 * MEBIBYTE - 512, 1024),
        Extent(30 * MEBIBYTE + 5120, 512),
        Extent(64 * MEBIBYTE, 512),
    ]


def test_file_of_zeros_has_no_extents(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(MEBIBYTE))
    with path.open("rb") as file:
        assert file_extents(file.fileno(), MEBIBYTE, 4096) == []
