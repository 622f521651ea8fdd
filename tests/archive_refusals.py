"""Archives that are refused, each with a part of the message: by the client before the upload, and by the launcher."""

import bz2
import lzma
import struct
import tarfile
import zlib

from tests.archive_builder import (
    END,
    FULL,
    Member,
    block,
    deflate,
    end64,
    gzipped,
    part,
    pax,
    python_tar,
    tar_of,
    zip_of,
)
from tests.archive_kinds import CSV, FILE, HARD, ONE, OTHER, PLAIN, A, B, Kind, link

BOMB = bytes(4096)
DESCRIPTOR = {"crc": 0, "packed": 0, "size": 0}


def changed(data: bytes, at: int) -> bytes:
    """``data`` with one other bit at ``at``."""
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def _inside(extra: bytes) -> bytes:
    """A zip with other bytes between its first member and the second."""
    return zip_of(A, Member(b"b.csv", OTHER, before=extra))


def _huge(name: bytes) -> Member:
    """A member that claims 8 PiB."""
    return Member(
        name,
        CSV,
        8,
        size=FULL,
        extra=struct.pack("<2HQ", 1, 8, 1 << 53),
        local={"size": FULL, "packed": FULL, "extra": struct.pack("<2H2Q", 1, 16, 1 << 53, len(deflate(CSV)))},
    )


def _locator(place: int) -> bytes:
    """The locator of an end record with wide fields."""
    return struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)


ZIPS = [
    # Names and paths.
    *(
        Kind(f"zip name {name!r}", zip_of(Member(name, CSV, creator=creator)), "Member")
        for creator in (0, 3)
        for name in (
            b"../x",
            b"/x",
            b"a/../../x",
            b"a//x",
            b".",
            b"..",
            b"a/./x",
            b"a\\..\\x",
            b"x/..",
            b"",
            b"a\nb",
            b"a\x1b[2J",
            b"n" * 256,
            b"d/" * 600 + b"x",
            b"C:\\x" if creator else b"\\\\x\\y",
        )
    ),
    Kind("zero byte in a name", zip_of(Member(b"a.csv\0.png", CSV)), "zero byte"),
    Kind("invisible character in a zip", zip_of(Member("a\u202ecsv".encode(), CSV, flags=0x800)), r"U\+202E"),
    Kind("flag says UTF-8", zip_of(Member(b"Bef\xfcnd.csv", CSV, flags=0x800)), "not UTF-8"),
    Kind("unknown encoding", zip_of(Member(b"\x8c\x9f\x8d\xb8.csv", CSV)), "does not say in which of many encodings"),
    Kind(
        "two forms of a name",
        zip_of(Member("\u00e9".encode(), CSV), Member("e\u0301".encode(), CSV)),
        "are the same name on some systems",
    ),
    # What members are.
    Kind("encrypted", zip_of(Member(b"a.csv", CSV, flags=1)), "a.csv is encrypted"),
    Kind("AES", zip_of(Member(b"a.csv", CSV, 99, flags=1)), "a.csv is encrypted"),
    Kind("strong encryption", zip_of(Member(b"a.csv", CSV, flags=0x40)), "a.csv is encrypted"),
    Kind("Deflate64", zip_of(Member(b"a.csv", CSV, 9)), "a.csv is compressed with Deflate64"),
    Kind("Zstandard in a zip", zip_of(Member(b"a.csv", CSV, 93)), "a.csv is compressed with Zstandard"),
    Kind("unknown method", zip_of(Member(b"a.csv", CSV, 250)), "a.csv is compressed with method 250"),
    Kind("device in a zip", zip_of(Member(b"a.csv", CSV, mode=0o020644)), "a.csv is neither"),
    Kind("pipe in a zip", zip_of(Member(b"a.csv", CSV, mode=0o010644)), "a.csv is neither"),
    Kind("folder with content", zip_of(Member(b"x/", CSV)), "x is a folder, but has content"),
    Kind("folder by mode with content", zip_of(Member(b"x", CSV, mode=0o040755)), "x is neither"),
    # Twice.
    Kind("other content twice", zip_of(A, Member(b"a.csv", OTHER)), "a.csv occurs twice, with different content"),
    Kind("other size twice", zip_of(A, Member(b"./a.csv", CSV * 2)), "a.csv occurs twice, with different content"),
    Kind("file and folder", zip_of(A, Member(b"a.csv/")), "a.csv occurs twice"),
    Kind("folder and file", zip_of(Member(b"x/b", CSV), Member(b"x", CSV)), "x occurs twice"),
    Kind("file as folder", zip_of(A, Member(b"a.csv/b", CSV)), "a.csv occurs twice"),
    Kind("link and file", zip_of(A, B, link(b"b.csv", b"a.csv")), "b.csv occurs twice"),
    Kind("file below a link", zip_of(Member(b"x/a", CSV), link(b"y", b"x"), Member(b"y/b", CSV)), "y occurs twice"),
    # Links.
    Kind("link to /etc", zip_of(link(b"b", b"/etc/passwd")), "b leads to .*/etc/passwd.*, outside"),
    Kind("link to the outside", zip_of(A, link(b"x/b", b"../../a.csv")), "x/b leads to .*, outside"),
    Kind("link to a folder", zip_of(Member(b"x/a", CSV), link(b"y", b"x")), "y leads to a folder"),
    Kind("link to a folder with slash", zip_of(Member(b"x/a", CSV), link(b"y", b"x/")), "y leads to a folder"),
    Kind("dangling link", zip_of(A, link(b"b", b"c.csv")), "b leads to c.csv, which is not a file"),
    Kind("link through nothing", zip_of(A, link(b"b", b"x/../a.csv")), "b leads to .* through something"),
    Kind("link through a file", zip_of(A, link(b"b", b"a.csv/../a.csv")), "b leads to .* through something"),
    Kind("links in a circle", zip_of(link(b"a", b"b"), link(b"b", b"a")), "leads in a circle"),
    Kind("link to itself", zip_of(link(b"a", b"a")), "leads in a circle"),
    Kind("long link in a zip", zip_of(A, link(b"b", b"./" * 600 + b"a.csv")), "b has a target of more than"),
    Kind("empty link", zip_of(A, link(b"b", b"")), "b has an invalid target"),
    # Damage.
    Kind("changed byte", zip_of(Member(b"a.csv", CSV, crc=1)), "a.csv is damaged: expected CRC-32 00000001"),
    Kind("changed deflate", zip_of(Member(b"a.csv", CSV, 8, body=b"\xff" * 9)), "a.csv is damaged"),
    Kind("changed bzip2", zip_of(Member(b"a.csv", CSV, 12, body=b"BZh9" + bytes(20))), "a.csv is damaged"),
    Kind(
        "changed lzma",
        zip_of(Member(b"a.csv", CSV, 14, body=b"\x09\x04\x05\0]\0\0\1\0" + b"\xff" * 20)),
        "a.csv is damaged",
    ),
    Kind("lzma without header", zip_of(Member(b"a.csv", CSV, 14, body=b"xx")), "a.csv is damaged"),
    Kind(
        "lzma with a dictionary of 4 GiB",
        zip_of(Member(b"a.csv", CSV, 14, body=b"\x09\x04\x05\0]\xff\xff\xff\xff" + bytes(20))),
        "a.csv needs more memory",
    ),
    Kind("cut deflate", zip_of(Member(b"a.csv", CSV, 8, body=deflate(CSV)[:-3])), "a.csv is truncated"),
    Kind("data after deflate", zip_of(Member(b"a.csv", CSV, 8, body=deflate(CSV) + b"x")), "a.csv has other data"),
    Kind("too much data", zip_of(Member(b"a.csv", BOMB, 8, size=10)), "a.csv does not have the 10 bytes"),
    Kind("too little data", zip_of(Member(b"a.csv", CSV, 8, size=1000)), "a.csv does not have the 1000 bytes"),
    Kind("stored with two sizes", zip_of(Member(b"a.csv", CSV, size=1000)), "a.csv does not have the 1000 bytes"),
    *(Kind(f"cut zip {length}", zip_of(A, B)[:length], "truncated|other data") for length in (30, 60, 120, -22, -1)),
    Kind("8 PiB", zip_of(_huge(b"a.csv")), "more than 9007199254740991|unpacked size"),
    # Layout.
    Kind(
        "prefix in the offsets", zip_of(A, prefix=b"PK\3\4" + bytes(60)), "begins with bytes that belong to no member"
    ),
    Kind("prefix not in the offsets", b"PK\3\4" + bytes(60) + zip_of(A), "not where its end says"),
    Kind("zip behind another", zip_of(A) + zip_of(B), "not where its end says"),
    Kind("zip of nothing with a prefix", b"PK\5\6" + bytes(60) + zip_of(), "not where its end says"),
    Kind("data behind a zip", zip_of(A) + b"x", "other data follows"),
    Kind("end in a comment", zip_of(A, comment=zip_of()), "two ends"),
    Kind("bytes between members", _inside(b"PK\3\4 hidden"), "after member a.csv belong to no member"),
    Kind("bytes before the directory", zip_of(A, gap=b"x" * 16), "after member a.csv belong to no member"),
    Kind(
        "same bytes twice", zip_of(Member(b"b.csv", CSV, offset=0), Member(b"a.csv", CSV, offset=0)), "overlaps|differs"
    ),
    Kind(
        "overlap",
        zip_of(Member(b"a.csv", CSV + zip_of(B), packed=None), Member(b"b.csv", OTHER, offset=35 + len(CSV))),
        "overlaps",
    ),
    Kind("offset into nothing", zip_of(A, Member(b"b.csv", OTHER, offset=5)), "overlaps|differs|not where"),
    Kind(
        "offset behind the directory", zip_of(A, Member(b"b.csv", OTHER, offset=5000)), "belong to no member|overlaps"
    ),
    Kind("wrong count", zip_of(A, count=2), "says that it has 2 members, and has 1"),
    Kind("directory of junk", zip_of(A).replace(b"PK\1\2", b"PK\1\3"), "not a list of members"),
    Kind("one of several volumes", struct.pack("<4s", b"PK\7\x08") + zip_of(A), "one volume"),
    Kind("end on another disk", zip_of(A)[:-18] + struct.pack("<2H", 1, 1) + zip_of(A)[-14:], "one volume"),
    Kind("wide end contradicts", zip_of(A, end=lambda *a: end64(a[0], a[1], 7)), "contradicts itself"),
    Kind("wide end is missing", zip_of(A, end=lambda *a: bytes(56) + end64(*a)[56:]), "zip64 end record is missing"),
    *(
        Kind(f"wide end at 2**{bits} - 1", zip_of(A, end=lambda *a, at=2**bits - 1: _locator(at)), "record is missing")
        for bits in (62, 63, 64)
    ),
    # A local header that contradicts the directory.
    *(
        Kind(f"local {name}", zip_of(Member(b"a.csv", CSV, local={name: value})), "differs between")
        for name, value in (("name", b"b.csv"), ("method", 8), ("crc", 1), ("size", 3), ("packed", 3), ("flags", 1))
    ),
    *(
        Kind(
            f"local encoding {local:#x} of a name in {flags:#x}",
            zip_of(Member("ü.csv".encode(), CSV, flags=flags, local={"flags": local})),
            "differs between",
        )
        for flags, local in ((0x800, 0), (0, 0x800))
    ),
    Kind(
        "local size of a streamed member",
        zip_of(Member(b"a.csv", CSV, flags=8, local=DESCRIPTOR | {"size": 3, "flags": 8})),
        "differs between",
    ),
    Kind("streamed without sizes", zip_of(Member(b"a.csv", CSV, flags=8, local=DESCRIPTOR)), "differs between"),
    *(
        Kind(
            f"descriptor contradicts: {wrong} signed={bool(mark)} form={form}",
            zip_of(Member(b"a.csv", CSV, flags=8, local=DESCRIPTOR, descriptor=mark + struct.pack(form, *fields))),
            "belong to no member",
        )
        for mark in (b"", b"PK\7\x08")
        for form in ("<3I", "<IQQ")
        for wrong, fields in (
            ("crc", (zlib.crc32(CSV) ^ 1, len(CSV), len(CSV))),
            ("packed", (zlib.crc32(CSV), len(CSV) + 1, len(CSV))),
            ("size", (zlib.crc32(CSV), len(CSV), len(CSV) + 1)),
        )
    ),
    Kind("size field is missing", zip_of(Member(b"a.csv", CSV, size=FULL)), "size of member a.csv is missing"),
]

TARS = [
    *(
        Kind(f"tar name {name!r}", tar_of(part(name, CSV)), "Member|leads")
        for name in (b"../x", b"/x", b"a/../../x", b"a//x", b".", b"..", b"a/./x", b"a\\..\\x", b"", b"a\nb", b"\xff")
    ),
    Kind("invisible character in a tar", tar_of(part("a\u202ecsv".encode(), CSV)), r"U\+202E"),
    Kind("tar cut in a file", tar_of(part(b"a.csv", BOMB))[:2000], "a.csv is truncated"),
    Kind("tar cut in the filling", tar_of(FILE)[:600], "a.csv is truncated"),
    Kind("tar cut after a file", tar_of(FILE, end=b""), "no end"),
    Kind("tar with half an end", tar_of(FILE, end=bytes(512)), "two blocks of zeros"),
    Kind("tar behind a tar", tar_of(FILE) + tar_of(FILE), "followed by other data"),
    Kind("zip behind a tar", tar_of(FILE) + zip_of(A), "followed by other data"),
    Kind("zeros without end", gzipped(tar_of(FILE) + bytes(17 << 20)), "more than 16777216 zeros"),
    Kind("changed header", changed(tar_of(FILE, FILE), 1024), "checksum of a header"),
    Kind("changed tar.gz", changed(gzipped(tar_of(part(b"a.csv", bytes(range(256)) * 9))), -5), "damaged|truncated"),
    Kind("cut tar.gz", gzipped(PLAIN)[:-9], "truncated"),
    Kind("tar.gz without its trailer", gzipped(PLAIN)[:-8], "truncated"),
    Kind("tar.gz with half a trailer", gzipped(PLAIN)[:-1], "truncated"),
    Kind("changed tar.gz trailer", changed(gzipped(PLAIN), -8), "damaged"),
    Kind("changed tar.bz2", changed(bz2.compress(PLAIN), 60), "damaged"),
    Kind("cut tar.bz2", bz2.compress(PLAIN)[:-4], "truncated|damaged"),
    Kind("changed tar.xz", changed(lzma.compress(PLAIN), 60), "damaged"),
    Kind("cut tar.xz", lzma.compress(PLAIN)[:-4], "truncated"),
    Kind(
        "xz with a dictionary of 1 GiB",
        lambda: lzma.compress(PLAIN, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]),
        "more memory",
    ),
    Kind("junk behind tar.gz", gzipped(PLAIN) + b"junk", "followed by other data"),
    Kind("junk behind tar.xz", lzma.compress(PLAIN) + b"junk", "followed by other data"),
    Kind("cut gzip of anything", gzipped(CSV)[:-9], "truncated"),
    *(
        Kind(f"tar kind {kind!r}", tar_of(block(b"a", kind=kind)), "Member a (is|continues)")
        for kind in (b"3", b"4", b"6", b"S", b"M", b"?")
    ),
    Kind("pax sparse", tar_of(pax(**{"GNU.sparse.major": b"1"}), FILE), "a.csv is sparse"),
    Kind("folder with content in a tar", tar_of(part(b"x", CSV, b"5")), "x is a folder, but has content"),
    Kind("link with content", tar_of(FILE, part(b"b", CSV, HARD, link=b"a.csv")), "b is a link, but has content"),
    Kind("negative size", tar_of(block(b"a.csv", size_field=b"\xff" * 12)), "invalid number"),
    Kind("size is not a number", tar_of(block(b"a.csv", size_field=b"12x\0        ")), "invalid number"),
    Kind("size of 2**80", tar_of(block(b"a.csv", size_field=b"\x80\0\xff" + bytes(9))), "more than any file"),
    Kind("pax size is not a number", tar_of(pax(size=b"-5"), FILE), "invalid size"),
    Kind("long header without end", gzipped(tar_of(block(b"x", 1 << 30, b"x"))), "too many"),
    Kind("pax header of junk", tar_of(part(b"x", b"junk", b"x"), FILE), "malformed"),
    # Left no way out of the loop over its records.
    Kind("pax header with junk behind a record", tar_of(part(b"x", b"10 path=a\njunk", b"x"), FILE), "malformed"),
    Kind("two forms of a name, one in ASCII", tar_of(part(b"K", CSV), part("\u212a".encode(), CSV)), "the same name"),
    Kind("two forms of a name, ASCII last", tar_of(part("\u212a".encode(), CSV), part(b"K", CSV)), "the same name"),
    Kind("pax header of length 0", tar_of(part(b"x", b"0 path=x\n", b"x"), FILE), "malformed"),
    Kind("global path", tar_of(part(b"g", b"12 path=abc\n", b"g"), FILE), "one name or size to all"),
    Kind(
        "two names in a pax header", tar_of(part(b"x", b"10 path=a\n10 path=b\n", b"x"), FILE), "two extended headers"
    ),
    Kind("two long names", tar_of(part(b"L", b"a\0", b"L"), part(b"L", b"b\0", b"L"), FILE), "two extended headers"),
    Kind("two long links", tar_of(part(b"L", b"a\0", b"K"), part(b"L", b"b\0", b"K"), FILE), "two extended headers"),
    Kind("two pax headers", tar_of(pax(path=b"b"), pax(size=b"%d" % len(CSV)), FILE), "two extended headers"),
    Kind("two kinds of long names", tar_of(part(b"L", b"a\0", b"L"), pax(path=b"b"), FILE), "two extended headers"),
    Kind("header without member", tar_of(pax(path=b"b")), "not followed by its member"),
    Kind("other content twice", tar_of(FILE, part(b"a.csv", OTHER)), "a.csv occurs twice, with different content"),
    Kind("file and folder", tar_of(FILE, block(b"a.csv", kind=b"5")), "a.csv occurs twice"),
    Kind("link and file", tar_of(FILE, block(b"b", kind=b"2", link=b"a.csv"), part(b"b", OTHER)), "b occurs twice"),
    Kind("hard link to the outside", tar_of(block(b"b", kind=HARD, link=b"../a")), "a"),
    Kind("hard link to /etc", tar_of(block(b"b", kind=HARD, link=b"/etc/passwd")), "absolute path"),
    Kind("dangling hard link", tar_of(block(b"b", kind=HARD, link=b"a")), "b leads to a, which is not a file"),
    Kind("hard link to itself alone", tar_of(block(b"b", kind=HARD, link=b"b")), "circle"),
    Kind("link to a folder", tar_of(part(b"x/a", CSV), block(b"y", kind=b"2", link=b"x")), "y leads to a folder"),
    Kind(
        "41 links",
        tar_of(
            FILE,
            *(block(b"l%d" % n, kind=b"2", link=b"l%d" % (n + 1)) for n in range(41)),
            block(b"l41", kind=b"2", link=b"a.csv"),
        ),
        "too many links",
    ),
]

FOREIGN = [
    Kind("zstd", b"(\xb5/\xfd" + bytes(600), "Zstandard.*"),
    Kind("zstd, frame to skip", b"P*M\x18" + bytes(600), "Zstandard"),
    Kind("7z", b"7z\xbc\xaf'\x1c" + bytes(600), "7z"),
    Kind("rar", b"Rar!\x1a\x07\1\0" + bytes(600), "RAR"),
    Kind("lz4", b'\x04"M\x18' + bytes(600), "LZ4"),
    Kind("lzma", lzma.compress(PLAIN, lzma.FORMAT_ALONE), "LZMA"),
    Kind("compress", b"\x1f\x9d\x90" + bytes(600), "compress"),
    Kind("cpio", b"070701" + bytes(600), "cpio"),
]

NOT_ARCHIVES = [
    Kind("self-extracting", b"MZ" + bytes(62) + zip_of(A), "does not begin as a zip"),
    Kind("tar cut in a header", PLAIN[:300], "begin as"),
    Kind("zeros and other data", bytes(2048) + CSV, "followed by other data"),
    Kind("one block of zeros and other data", bytes(600) + CSV * 100, "two blocks of zeros"),
    Kind("zeros and other data in gzip", gzipped(bytes(2048) + CSV), "followed by other data"),
    Kind("nothing", b"", "does not begin as"),
    Kind("text", CSV, "does not begin as"),
    Kind("one gzip file", gzipped(CSV), "other than a tar"),
    Kind("one bzip2 file", bz2.compress(CSV * 100), "other than a tar"),
    Kind("one xz file", lzma.compress(b""), "other than a tar"),
    Kind("tar.gz.gz", gzipped(gzipped(PLAIN)), "other than a tar"),
    Kind("text with a zip at its end", CSV + zip_of(A), "does not begin as"),
    Kind("tar with a zip as its last member", b"x" + python_tar(tarfile.GNU_FORMAT, ONE) + END, "does not begin as"),
]

REFUSED = [*ZIPS, *TARS, *FOREIGN, *NOT_ARCHIVES]
