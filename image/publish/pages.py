"""Which pages of a page blob are sent: sets of extents, in bytes."""

from collections.abc import Iterable, Iterator, Sequence

from image.formats.sparse import Extent

PAGE = 512
# What one request may write: Azure REST API, Put Page.
PIECE = 4 << 20
# Zeros between two extents are sent along as long as they are at most one byte in so many, for fewer requests.
_SLACK = 32


def without(extents: Sequence[Extent], others: Sequence[Extent]) -> list[Extent]:
    """What of ``extents`` is in none of ``others``; both are sorted, and so is the result."""
    left: list[Extent] = []
    index = 0
    for extent in extents:
        offset = extent.offset
        while index < len(others) and others[index].end <= offset:
            index += 1
        at = index
        while at < len(others) and others[at].offset < extent.end:
            if others[at].offset > offset:
                left.append(Extent(offset, others[at].offset - offset))
            offset = max(offset, others[at].end)
            at += 1
        if offset < extent.end:
            left.append(Extent(offset, extent.end - offset))
    return left


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """Sorted, overlaps as one, and neighbours too where what lies between them is small beside what is sent anyway."""
    made: list[Extent] = []
    size, between = 0, 0
    for extent in sorted(extents, key=lambda extent: extent.offset):
        size += extent.size
        gap = extent.offset - made[-1].end if made else 0
        if made and gap <= max(size // _SLACK - between, 0):
            between += max(gap, 0)
            last = made[-1]
            made[-1] = Extent(last.offset, max(last.end, extent.end) - last.offset)
        else:
            made.append(extent)
    return made


def split(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Pieces that one request may carry."""
    for extent in extents:
        for offset in range(extent.offset, extent.end, PIECE):
            yield Extent(offset, min(PIECE, extent.end - offset))
