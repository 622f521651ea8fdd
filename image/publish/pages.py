"""Select the pages of a page blob to send, as extents in bytes."""

from collections.abc import Iterable, Iterator, Sequence

from image.formats.sparse import Extent

PAGE = 512
# The limit of one request: Azure REST API, Put Page.
PIECE = 4 << 20
# To save requests, zeros between extents are sent too, up to this fraction (1/32) of the bytes that are sent anyway.
_SLACK = 32


def without(extents: Sequence[Extent], others: Sequence[Extent]) -> list[Extent]:
    """The parts of ``extents`` that are not in ``others``; arguments and result are sorted."""
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
    """Sort extents and merge those that overlap or have only a small gap (see ``_SLACK``) between them."""
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
    """Split extents into pieces that fit into one request."""
    for extent in extents:
        for offset in range(extent.offset, extent.end, PIECE):
            yield Extent(offset, min(PIECE, extent.end - offset))
