"""What an archive can repeat without end is bounded, and numbers in it are written in one way."""

import io
from collections.abc import Iterator
from itertools import repeat

import pytest

from cloister.protocol.archives import detection, limits, links, tars, unpacking
from cloister.protocol.archives.errors import ArchiveError, NotAnArchive
from cloister.protocol.archives.links import FOLDER, Link
from cloister.protocol.archives.paths import clean
from cloister.protocol.archives.tree import ArchiveTree, Checking
from tests.archive_builder import Member, block, part, pax, tar_of, zip_of
from tests.archive_kinds import CSV, FILE, HARD, link

REPEATED = {
    "labels": block(b"backup", kind=b"V"),
    "folders": block(b"x/", kind=b"5"),
    "lists of a folder": part(b"x/", b"Ya.csv\0\0", b"D"),
    "links": block(b"b.csv", kind=b"2", link=b"a.csv"),
    "hard links": block(b"b.csv", kind=HARD, link=b"a.csv"),
    "hard links to themselves": block(b"a.csv", kind=HARD, link=b"a.csv"),
    "empty files": part(b"empty"),
    "empty global headers": block(b"g", kind=b"g"),
    "global headers": part(b"g", b"52 comment=" + b"a" * 40 + b"\n", b"g"),
    "headers of no meaning": pax(mtime=b"1"),
    "empty headers": block(b"x", kind=b"x"),
    "long names": part(b"././@LongLink", b"a.csv\0", b"L") + FILE,
}


def check(data: bytes) -> unpacking.Contents:
    return unpacking.read_into(io.BytesIO(data), ArchiveTree(Checking()))


@pytest.mark.parametrize("name", list(REPEATED))
def test_headers_of_a_tar_are_counted_whatever_they_say(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(tars, "MAX_HEADERS", 20)
    with pytest.raises(ArchiveError, match="The tar has more than 20 headers"):
        check(tar_of(FILE, *repeat(REPEATED[name], 20), FILE))


def test_largest_tar_has_fewer_headers_than_are_read() -> None:
    """GNU and pax headers for name, target and times of each member."""
    assert limits.MAX_HEADERS >= 4 * limits.MAX_ENTRIES


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_file_that_is_there_again_is_read_a_bounded_number_of_times(kind: str) -> None:
    def archive(count: int) -> bytes:
        return tar_of(*repeat(FILE, count)) if kind == "tar" else zip_of(*repeat(Member(b"a.csv", CSV, 8), count))

    assert check(archive(1 + limits.MAX_REPEATS)).size == len(CSV)
    with pytest.raises(ArchiveError, match=r"Member a\.csv and others occur too often"):
        check(archive(2 + limits.MAX_REPEATS))


def test_lists_of_folders_share_the_bound_of_extended_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "MAX_DIRECTORY", 40)
    listed = part(b"x/", b"Ya.csv\0\0" * 2, b"D")
    assert check(tar_of(listed, listed)).entries == 1
    with pytest.raises(ArchiveError, match="is a folder with 16 bytes of names, too many"):
        check(tar_of(listed, listed, listed))
    with pytest.raises(ArchiveError, match="An extended header"):
        check(tar_of(listed, listed, pax(mtime=b"1"), FILE))


@pytest.mark.parametrize("name", ["a" * 10, "\u00e4" * 5, "\u6f22" * 3 + "a", "\U0001f600" * 2 + "aa"])
def test_paths_are_counted_in_bytes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    raw = name.encode()
    assert len(raw) == 10
    for archive in (zip_of(Member(raw, CSV, flags=0x800)), tar_of(part(raw, CSV))):
        monkeypatch.setattr(limits, "MAX_PATHS", 10)
        assert check(archive).entries == 1
        monkeypatch.setattr(limits, "MAX_PATHS", 9)
        with pytest.raises(ArchiveError, match="or 9 bytes of paths"):
            check(archive)


@pytest.mark.parametrize("target", ["a.csv", "\u00e4.csv"])
def test_targets_of_links_count_as_paths(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    raw = target.encode()
    file = part(raw, CSV)
    zipped = zip_of(Member(raw, CSV, flags=0x800), link(b"b", raw))
    for archive in (
        tar_of(file, block(b"b", kind=b"2", link=raw)),
        tar_of(file, block(b"b", kind=HARD, link=raw)),
        zipped,
    ):
        monkeypatch.setattr(limits, "MAX_PATHS", 2 * len(raw) + 1)
        assert check(archive).entries == 2
        monkeypatch.setattr(limits, "MAX_PATHS", 2 * len(raw))
        with pytest.raises(ArchiveError, match="bytes of paths"):
            check(archive)


@pytest.mark.parametrize("target", [b"n" * 1025, "\u00e4".encode() * 513])
def test_target_of_a_link_is_bounded_before_the_next_member_is_read(target: bytes) -> None:
    damaged = b"x" * 512
    long = part(b"././@LongLink", target + b"\0", b"K")
    with pytest.raises(ArchiveError, match="The link b has an invalid target"):
        check(tar_of(long, block(b"b", kind=b"2"), damaged))


def test_path_that_begins_here_many_times_is_cut_once() -> None:
    """Each ``./`` by itself would copy the rest: a header of 1 MiB half a million times."""
    assert clean("./" * 500_000 + "a.csv") == "a.csv"
    assert clean("./" * 500_000, folder=True) == ""


def chain(count: int, kinds: Iterator[bool]) -> dict[str, Link]:
    return {f"l{number}": Link(f"l{number + 1}", next(kinds)) for number in range(count - 1)} | {
        f"l{count - 1}": Link("a")
    }


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("kinds", [[False], [True], [True, False], [False, True], [True, True, False]], ids=str)
def test_hops_are_counted_alike_in_every_order(kinds: list[bool], order: int) -> None:
    """What is remembered of earlier links changes no outcome."""
    for count, fits in ((limits.MAX_HOPS, True), (limits.MAX_HOPS + 1, False)):
        found = chain(count, iter(kinds * count))
        ordered = dict(list(found.items())[::order])
        if fits:
            assert links.resolve(ordered, {"a": 1}) == dict.fromkeys(ordered, "a")
        else:
            with pytest.raises(ArchiveError, match="in a circle, or over too many links"):
                links.resolve(ordered, {"a": 1})


def test_each_link_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[str] = []
    walk = links._walk

    def counted(path: str, place: str, target: str, entries: dict[str, int]) -> str:
        walked.append(place)
        return walk(path, place, target, entries)

    monkeypatch.setattr(links, "_walk", counted)
    found = chain(limits.MAX_HOPS, iter([False] * limits.MAX_HOPS))
    links.resolve(found, {"a": 1})
    assert sorted(walked) == sorted(found)


def test_hard_link_to_a_link_leads_where_that_would_lead_from_its_own_folder() -> None:
    found = {"x/l": Link("a"), "h": Link("x/l", True), "x/h": Link("h", True), "s": Link("x/h")}
    entries = {"a": 1, "x": FOLDER, "x/a": 2}
    assert links.resolve(found, entries) == {"x/l": "x/a", "h": "a", "x/h": "x/a", "s": "x/a"}


GOOD = {b"0001234\0": 668, b"001234\0 ": 668, b"  1234\0 ": 668, b"00001234": 668, b"1234    ": 668, b"0       ": 0}
BAD = [
    b"0_1234\0 ",
    b"+1234\0  ",
    b"-1234\0  ",
    b"0o1234\0 ",
    b"0b11\0   ",
    b"0x1f\0   ",
    b"1 234\0  ",
    b"12\x0034\0  ",
    b"\x001234\0  ",
    b"\t1234\0  ",
    b"1234\n\0  ",
    b"1238\0   ",
    b"12.0\0   ",
    "\u0661\u0662\u0663\u0664".encode(),
    b"\xff" * 8,
]


@pytest.mark.parametrize("field", list(GOOD), ids=repr)
def test_number_of_a_header_is_octal(field: bytes) -> None:
    assert detection.octal(field) == GOOD[field]


@pytest.mark.parametrize("field", BAD, ids=repr)
def test_number_that_only_python_reads_is_refused_in_every_field(field: bytes) -> None:
    assert detection.octal(field) is None
    with pytest.raises(NotAnArchive):
        check(tar_of(block(b"a.csv", checksum=field)))
    for wrong in (block(b"a.csv", mode=field), block(b"a.csv", size_field=field.ljust(12, b" "))):
        with pytest.raises(ArchiveError, match=r"Member a\.csv is damaged: its header has an invalid number"):
            check(tar_of(wrong))


def test_checksum_with_an_underscore_is_not_a_header() -> None:
    """``int()`` would read it: the digits are those of the sum."""
    digits = block(b"a.csv")[148:154]
    underscored = digits[1:2] + b"_" + digits[2:] + b"\0 "
    assert int(underscored.strip(b" \0"), 8) == int(digits, 8)
    assert not detection.is_header(block(b"a.csv", checksum=underscored))
