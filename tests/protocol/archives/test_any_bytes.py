"""Whatever the bytes are: an archive with a value, or ArchiveError, and nothing outside of its folder."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloister.protocol.archives import limits, unpacking
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.tree import ArchiveTree, Checking
from tests.archive_builder import Member, block, part, tar_of, zip_of
from tests.archive_kinds import ACCEPTED, CSV
from tests.archive_refusals import REFUSED

SMALL = [data for kind in [*ACCEPTED, *REFUSED] if 0 < len(data := kind.bytes()) <= 4096]
GOOD = [data for kind in ACCEPTED if len(data := kind.bytes()) <= 4096]
NAMES = st.one_of(
    st.text(st.sampled_from("ab./\\\0\u00fc\u202e:"), max_size=12),
    st.sampled_from(["a", "b", "a/b", "a/", "../x", "/x"]),
)


def outcome(data: bytes) -> object:
    """What checking says: the contents, or the message."""
    try:
        return unpacking.read_into(io.BytesIO(data), ArchiveTree(Checking()))
    except ArchiveError as error:
        return str(error)


def both(data: bytes) -> None:
    """Check and unpack ``data``: both say the same, and nothing is outside of the folder."""
    checked = outcome(data)
    with TemporaryDirectory() as name:
        top = Path(name)
        (top / "data").write_bytes(data)
        try:
            unpacked: object = unpacking.unpack(top / "data", top / "deep" / "out", limits.MAX_SIZE)
        except ArchiveError as error:
            unpacked = str(error)
        assert unpacked == checked
        assert sorted(path.name for path in top.iterdir()) == ["data", "deep"]
        assert [path.name for path in (top / "deep").iterdir()] == ["out"]
        assert not any(path.is_symlink() for path in top.rglob("*"))


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    outcome(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SMALL), st.data())
def test_archives_with_changed_bytes(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(changed) - 1))
        changed[at] = draw.draw(st.integers(0, 255))
    both(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SMALL), st.data())
def test_cut_and_joined_archives(data: bytes, draw: st.DataObject) -> None:
    both(
        data[: draw.draw(st.integers(0, len(data)))]
        + draw.draw(st.sampled_from(SMALL))[: draw.draw(st.integers(0, 4096))]
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, st.sampled_from([0o100644, 0o040755, 0o120777, 0o010644, 0]), NAMES), max_size=5))
def test_zips_of_any_names_and_links(members: list[tuple[str, int, str]]) -> None:
    both(zip_of(*(Member(name.encode(), text.encode(), mode=mode, flags=0x800) for name, mode, text in members)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, st.sampled_from([b"0", b"1", b"2", b"5", b"\0", b"g"]), NAMES), max_size=5))
def test_tars_of_any_names_and_links(members: list[tuple[str, bytes, str]]) -> None:
    parts = [
        part(name.encode(), CSV, kind) if kind in (b"0", b"\0") else block(name.encode(), kind=kind, link=text.encode())
        for name, kind, text in members
    ]
    both(tar_of(*parts))


@pytest.mark.parametrize("data", GOOD, ids=range(len(GOOD)))
def test_no_proper_beginning_is_taken_for_the_whole(data: bytes) -> None:
    whole = outcome(data)
    for length in range(0, len(data) - 1, max(1, len(data) // 40)):
        cut = outcome(data[:length])
        # The zeros at the end of a tar may be fewer.
        assert isinstance(cut, str) or cut == whole
