"""Find the parts of a disk that are not zero, so that zeros are neither written nor sent."""

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


@dataclass(frozen=True)
class Extent:
    """A range of bytes of a disk."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.size


def extents(data: bytes, granule: int) -> list[Extent]:
    """The extents of ``data`` that are not zero, at multiples of ``granule``, which divides 1 MiB."""
    blocks = ((offset, data[offset : offset + _BLOCK]) for offset in range(0, len(data), _BLOCK))
    return _joined(found for offset, block in blocks for found in _within(block, offset, granule))


def file_extents(file: int, size: int, granule: int) -> list[Extent]:
    """``extents`` of the first ``size`` bytes of an open file, read in blocks of 1 MiB. Holes are not read."""
    return _joined(
        found for offset in _data(file, size) for found in _within(_read(file, offset, size), offset, granule)
    )


def _read(file: int, offset: int, size: int) -> bytes:
    return os.pread(file, min(_BLOCK, size - offset), offset)


def _data(file: int, size: int) -> Iterator[int]:
    """The offsets of the blocks in which a file has data (lseek(2), SEEK_DATA)."""
    offset = 0
    while offset < size:
        try:
            found = os.lseek(file, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # The rest of the file is a hole.
                return
            # The file system does not support holes: everything is data.
            found = offset
        offset = found - found % _BLOCK
        if offset < size:
            yield offset
        offset += _BLOCK


def _within(block: bytes, start: int, granule: int) -> Iterator[Extent]:
    if block == _ZEROS[: len(block)]:
        return
    zeros = bytes(granule)
    for offset in range(0, len(block), granule):
        part = block[offset : offset + granule]
        if part != zeros[: len(part)]:
            yield Extent(start + offset, len(part))


def _joined(found: Iterable[Extent]) -> list[Extent]:
    """Merge adjacent extents."""
    joined: list[Extent] = []
    for extent in found:
        if joined and joined[-1].end == extent.offset:
            joined[-1] = Extent(joined[-1].offset, joined[-1].size + extent.size)
        else:
            joined.append(extent)
    return joined
