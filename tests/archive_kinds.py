"""Archives as people, programs and attackers make them, each with its outcome: the same for client and launcher."""

import bz2
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tests.archive_builder import (
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
    zip_lzma,
    zip_of,
)

CSV = b"age,dose\n41,3\n"
OTHER = b"age,dose\n17,9\n"
A, B = Member(b"a.csv", CSV), Member(b"b.csv", OTHER)
FILE = part(b"a.csv", CSV)
LINK, HARD = 0o120777, b"1"


@dataclass(frozen=True)
class Kind:
    """An archive and its outcome: the files that it unpacks to, or a part of the message."""

    name: str
    data: bytes | Callable[[], bytes]
    outcome: dict[str, bytes] | str
    folders: tuple[str, ...] = ()

    def bytes(self) -> bytes:
        """The archive; what takes long to make is made once."""
        return _made(self.data) if callable(self.data) else self.data


@cache
def _made(make: Callable[[], bytes]) -> bytes:
    return make()


def _python_zip(method: int = zipfile.ZIP_DEFLATED, *, stream: bool = False, wide: bool = False) -> bytes:
    out = io.BytesIO()
    target = _Unseekable(out) if stream else out
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in (("a.csv", CSV), ("scans/\u00fc 1.csv", CSV * 1000)):
            with archive.open(zipfile.ZipInfo(name) if not stream else name, "w", force_zip64=wide) as member:
                member.write(data)
    return out.getvalue()


class _Unseekable(io.RawIOBase):
    """A pipe."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        return self._out.write(data)


BOTH = {"a.csv": CSV, "scans/\u00fc 1.csv": CSV * 1000}
ONE = {"a.csv": CSV}


def link(name: bytes, target: bytes, **fields) -> Member:
    """A symbolic link in a zip."""
    return Member(name, target, mode=LINK, **fields)


def _descriptor(data: bytes, body: bytes, *, sign: bool = True, wide: bool = False) -> bytes:
    made = struct.pack("<IQQ" if wide else "<3I", zipfile.crc32(data), len(body), len(data))
    return (b"PK\x07\x08" if sign else b"") + made


def _streamed(*, sign: bool, wide: bool) -> bytes:
    body = deflate(CSV)
    local = {"crc": 0, "packed": 0, "size": 0}
    return zip_of(
        Member(b"a.csv", CSV, 8, flags=8, local=local, descriptor=_descriptor(CSV, body, sign=sign, wide=wide))
    )


ACCEPTED_ZIPS = [
    Kind("zip stored", lambda: _python_zip(zipfile.ZIP_STORED), BOTH),
    Kind("zip deflate", _python_zip, BOTH),
    Kind("zip bzip2", lambda: _python_zip(zipfile.ZIP_BZIP2), BOTH),
    Kind("zip lzma", lambda: _python_zip(zipfile.ZIP_LZMA), BOTH),
    Kind("zip from a pipe", lambda: _python_zip(stream=True), BOTH),
    Kind("zip stored from a pipe", lambda: _python_zip(zipfile.ZIP_STORED, stream=True), BOTH),
    Kind("zip64 members", lambda: _python_zip(wide=True), BOTH),
    Kind("zip64 members from a pipe", lambda: _python_zip(stream=True, wide=True), BOTH),
    Kind("zip64 end", zip_of(A, end=end64), ONE),
    Kind("lzma with its mark", zip_of(Member(b"a.csv", CSV, 14, body=zip_lzma(CSV), flags=2)), ONE),
    *(
        Kind(f"descriptor signed={sign} wide={wide}", _streamed(sign=sign, wide=wide), ONE)
        for sign in (True, False)
        for wide in (True, False)
    ),
    Kind(
        "wide offset in the directory",
        zip_of(Member(b"a.csv", CSV, offset=FULL, extra=struct.pack("<2HQ", 1, 8, 0))),
        ONE,
    ),
    Kind("zip of nothing", zip_of(), {}),
    Kind("zip with a comment", zip_of(A, comment=b"made by hand"), ONE),
    Kind("empty file", zip_of(Member(b"a.csv")), {"a.csv": b""}),
    Kind("empty file, deflated", zip_of(Member(b"a.csv", b"", 8)), {"a.csv": b""}),
    Kind("folders", zip_of(Member(b"x/", mode=0o040755), Member(b"x/y/"), A), ONE, ("x", "x/y")),
    Kind("deflated folder", zip_of(Member(b"x/", b"", 8)), {}, ("x",)),
    Kind("folder by its attribute", zip_of(Member(b"x", creator=0, mode=0, attributes=0x10)), {}, ("x",)),
    Kind("./ in a zip", zip_of(Member(b"./"), Member(b"./x/a.csv", CSV)), {"x/a.csv": CSV}),
    Kind("a program", zip_of(Member(b"run.sh", CSV, mode=0o100755)), {"run.sh": CSV}),
    Kind(
        "Windows zip",
        zip_of(Member(b"x\\a.csv", CSV, creator=0, mode=0), Member(b"x\\y\\", creator=10, mode=0)),
        {"x/a.csv": CSV},
        ("x/y",),
    ),
    Kind("mixed separators", zip_of(Member(b"x\\y/a.csv", CSV, creator=10, mode=0)), {"x/y/a.csv": CSV}),
    Kind("backslash by Unix", zip_of(Member(b"x\\a.csv", CSV)), {"x\\a.csv": CSV}),
    Kind(
        "macOS zip",
        zip_of(Member("b\u00fc.csv".encode(), CSV, flags=0), Member(b"__MACOSX/._a.csv", b"\0\5\x16\7")),
        {"b\u00fc.csv": CSV, "__MACOSX/._a.csv": b"\0\5\x16\7"},
    ),
    Kind(
        "Unicode path field",
        zip_of(
            Member(
                b"b\x81.csv",
                CSV,
                extra=b"up" + struct.pack("<HBI", 12, 1, zipfile.crc32(b"b\x81.csv")) + "b\u00fc.csv".encode(),
            )
        ),
        {"b\u00fc.csv": CSV},
    ),
    Kind(
        "names with odd characters",
        zip_of(Member("Patient [2] 10:30 'a' \u691c.csv".encode(), CSV, flags=0x800)),
        {"Patient [2] 10:30 'a' \u691c.csv": CSV},
    ),
    Kind("same file twice", zip_of(A, A), ONE),
    Kind("same file twice, packed differently", zip_of(A, Member(b"./a.csv", CSV, 8)), ONE),
    Kind("folder twice", zip_of(Member(b"x/"), Member(b"x/")), {}, ("x",)),
    Kind("link", zip_of(A, link(b"b", b"a.csv")), {"a.csv": CSV, "b": CSV}),
    Kind("link before its file", zip_of(link(b"b", b"a.csv"), A), {"a.csv": CSV, "b": CSV}),
    Kind(
        "link in a folder",
        zip_of(A, link(b"x/b", b".././a.csv"), link(b"x/c", b"b")),
        {"a.csv": CSV, "x/b": CSV, "x/c": CSV},
    ),
    Kind("deflated link", zip_of(A, link(b"b", b"a.csv", method=8)), {"a.csv": CSV, "b": CSV}),
    Kind("same link twice", zip_of(A, link(b"b", b"a.csv"), link(b"b", b"a.csv")), {"a.csv": CSV, "b": CSV}),
    Kind(
        "more members than 16 bits", lambda: zip_of(*_many(0x10002), count=2), {f"{n:x}": b"" for n in range(0x10002)}
    ),
]


def _many(count: int) -> list[Member]:
    return [Member(b"%x" % number) for number in range(count)]


def _signed(name: bytes, data: bytes) -> bytes:
    """A file with the checksum of old programs, whose bytes above 127 were negative."""
    total = sum(block(name, len(data), checksum=b" " * 8)) - 256 * sum(byte > 127 for byte in name)
    return part(name, data, checksum=b"%06o\0 " % total)


TWO = {"a.csv": CSV, "b.csv": CSV}
LONG = "/".join(["folder-with-a-long-name"] * 8) + "/" + "n" * 120
PLAIN = python_tar(tarfile.PAX_FORMAT, {"a.csv": CSV})
ACCEPTED_TARS = [
    Kind(
        "tar ustar",
        python_tar(tarfile.USTAR_FORMAT, {"x/" + "y" * 98 + "/a.csv": CSV}),
        {"x/" + "y" * 98 + "/a.csv": CSV},
    ),
    Kind("tar GNU", python_tar(tarfile.GNU_FORMAT, {LONG: CSV}), {LONG: CSV}),
    Kind("tar pax", python_tar(tarfile.PAX_FORMAT, {LONG: CSV, "\u00fc": CSV}), {LONG: CSV, "\u00fc": CSV}),
    Kind(
        "tar v7", tar_of(block(b"x/", kind=b"\0", magic=b""), part(b"x/a.csv", CSV, b"\0", magic=b"")), {"x/a.csv": CSV}
    ),
    Kind("tar GNU by hand", tar_of(part(b"a.csv", CSV, magic=b"ustar  \0")), ONE),
    Kind("tar.gz", gzipped(PLAIN), ONE),
    Kind("tar.bz2", bz2.compress(PLAIN), ONE),
    Kind("tar.xz", lzma.compress(PLAIN), ONE),
    Kind("tar.xz with CRC-32", lzma.compress(PLAIN, check=lzma.CHECK_CRC32), ONE),
    Kind("gzip members", gzipped(PLAIN[:700]) + gzipped(b"") + gzipped(PLAIN[700:]), ONE),
    Kind("bzip2 streams", bz2.compress(PLAIN[:700]) + bz2.compress(PLAIN[700:]), ONE),
    Kind("xz streams", lzma.compress(PLAIN[:700]) + bytes(8) + lzma.compress(PLAIN[700:]), ONE),
    Kind("gzip on a tape", gzipped(PLAIN) + bytes(3000), ONE),
    Kind("tar of nothing", bytes(10240), {}),
    Kind("tar.gz of nothing", gzipped(bytes(10240)), {}),
    Kind("records of a tape", tar_of(FILE, end=bytes(1 << 20)), ONE),
    Kind("./ in a tar", tar_of(block(b"./", kind=b"5"), part(b"./x/a.csv", CSV)), {"x/a.csv": CSV}),
    Kind("folder without slash", tar_of(block(b"x", kind=b"5")), {}, ("x",)),
    Kind("contiguous file", tar_of(part(b"a.csv", CSV, b"7")), ONE),
    Kind("label", tar_of(block(b"backup", kind=b"V"), FILE), ONE),
    Kind("list of a folder", tar_of(part(b"x/", b"Ya.csv\0\0", b"D"), FILE), ONE, ("x",)),
    Kind("global header", tar_of(part(b"pax_global_header", b"52 comment=" + b"a" * 40 + b"\n", b"g"), FILE), ONE),
    Kind(
        "size in base 256",
        tar_of(block(b"a.csv", size_field=b"\x80" + bytes(10) + bytes([len(CSV)])), CSV, bytes(-len(CSV) % 512)),
        ONE,
    ),
    Kind("pax size", tar_of(pax(size=b"%d" % len(CSV)), block(b"a.csv"), CSV, bytes(-len(CSV) % 512)), ONE),
    Kind(
        "macOS attributes",
        tar_of(part(b"./._a.csv", b"\0\5\x16\7"), pax(**{"LIBARCHIVE.xattr.x": b"\xff\n=3"}), FILE),
        {"._a.csv": b"\0\5\x16\7", "a.csv": CSV},
    ),
    Kind("signed checksum", tar_of(_signed("\u00fc.csv".encode(), CSV)), {"\u00fc.csv": CSV}),
    Kind("hard link", tar_of(FILE, block(b"b.csv", kind=HARD, link=b"./a.csv")), TWO),
    Kind("link", tar_of(block(b"b.csv", kind=b"2", link=b"a.csv"), FILE), TWO),
    Kind(
        "long link",
        tar_of(
            pax(path=LONG.encode()),
            FILE,
            part(b"././@LongLink", LONG.encode() + b"\0", b"K"),
            block(b"b.csv", kind=HARD),
        ),
        {LONG: CSV, "b.csv": CSV},
    ),
    Kind(
        "pax link",
        tar_of(part("\u00fc".encode(), CSV), pax(linkpath="\u00fc".encode()), block(b"b", kind=b"2", link=b"?")),
        {"\u00fc": CSV, "b": CSV},
    ),
    Kind(
        "hard link to a link",
        tar_of(
            part(b"x/a.csv", CSV),
            part(b"a.csv", OTHER),
            block(b"x/l", kind=b"2", link=b"a.csv"),
            block(b"l", kind=HARD, link=b"x/l"),
        ),
        {"x/a.csv": CSV, "a.csv": OTHER, "x/l": CSV, "l": OTHER},
    ),
    Kind(
        "link to a hard link",
        tar_of(FILE, block(b"x/b", kind=HARD, link=b"a.csv"), block(b"c", kind=b"2", link=b"x/b")),
        {"a.csv": CSV, "x/b": CSV, "c": CSV},
    ),
    Kind("hard link to itself", tar_of(FILE, block(b"a.csv", kind=HARD, link=b"a.csv")), ONE),
    Kind("same file twice", tar_of(FILE, FILE), ONE),
]

ACCEPTED = [*ACCEPTED_ZIPS, *ACCEPTED_TARS]
