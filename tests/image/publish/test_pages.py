"""Sets of pages: what remains to send, and in which pieces."""

from hypothesis import given
from hypothesis import strategies as st

from image.formats.sparse import Extent
from image.publish import pages

PAGES = st.sets(st.integers(0, 300))


def extents(numbers: set[int]) -> list[Extent]:
    """One extent for each page."""
    return [Extent(number * 512, 512) for number in sorted(numbers)]


def numbers(found: list[Extent]) -> set[int]:
    return {page for extent in found for page in range(extent.offset // 512, extent.end // 512)}


@given(PAGES, PAGES)
def test_existing_pages_are_not_sent_again(wanted: set[int], there: set[int]) -> None:
    whole = pages.joined(extents(wanted))

    assert numbers(pages.without(whole, extents(there))) == numbers(whole) - there
    assert numbers(pages.without(extents(wanted), pages.joined(extents(there)))) == wanted - numbers(
        pages.joined(extents(there))
    )


@given(PAGES, PAGES)
def test_joined_extents_contain_all_pages_and_few_others(some: set[int], others: set[int]) -> None:
    found = pages.joined([*extents(some), *extents(others)])

    assert numbers(found) >= some | others
    assert sum(extent.size for extent in found) <= (len(some) + len(others)) * 512 * 33 / 32
    assert [extent.offset for extent in found] == sorted({extent.offset for extent in found})


def test_adjacent_extents_are_merged_and_distant_ones_are_not() -> None:
    mebibyte = 1 << 20
    near = [Extent(0, mebibyte), Extent(mebibyte, 512), Extent(mebibyte + 1024, 512), Extent(8 * mebibyte, 512)]

    assert pages.joined(near) == [Extent(0, mebibyte + 1536), Extent(8 * mebibyte, 512)]


def test_pieces_fit_into_one_request() -> None:
    assert list(pages.split([Extent(512, (9 << 20) + 512)])) == [
        Extent(512, 4 << 20),
        Extent(512 + (4 << 20), 4 << 20),
        Extent(512 + (8 << 20), (1 << 20) + 512),
    ]
