"""Zips and tars made byte by byte, so that every field can lie."""

import gzip
import io
import lzma
import struct
import tarfile
import zlib
from dataclasses import dataclass, field

FULL = 0xFFFFFFFF


def deflate(data: bytes) -> bytes:
    """A raw deflate stream."""
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


@dataclass
class Member:
    """A member of a zip. ``local`` replaces fields of its local header, by their names here."""

    name: bytes
    data: bytes = b""
    method: int = 0
    body: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    flags: int = 0
    creator: int = 3
    mode: int = 0o100644
    attributes: int = 0
    extra: bytes = b""
    local: dict = field(default_factory=dict)
    descriptor: bytes = b""
    offset: int | None = None
    before: bytes = b""


def zip_of(
    *members: Member, prefix: bytes = b"", gap: bytes = b"", comment: bytes = b"", count=None, end=None
) -> bytes:
    """A zip of these members. ``end``: what is between the directory and its end record."""
    out = bytearray(prefix)
    directory = bytearray()
    for one in members:
        out += one.before
        body = one.body if one.body is not None else (deflate(one.data) if one.method == 8 else one.data)
        crc = zlib.crc32(one.data) if one.crc is None else one.crc
        size = len(one.data) if one.size is None else one.size
        packed = len(body) if one.packed is None else one.packed
        at = len(out) if one.offset is None else one.offset
        said = {
            "flags": one.flags, "method": one.method, "crc": crc, "packed": packed, "size": size,
            "name": one.name, "extra": b"",
        } | one.local  # fmt: skip
        out += struct.pack(
            "<4s5H3I2H", b"PK\3\4", 20, said["flags"], said["method"], 0, 33, said["crc"], said["packed"], said["size"],
            len(said["name"]), len(said["extra"]),
        )  # fmt: skip
        out += said["name"] + said["extra"] + body + one.descriptor
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", one.creator << 8 | 20, 20, one.flags, one.method, 0, 33, crc, packed, size,
            len(one.name), len(one.extra), 0, 0, 0, one.mode << 16 | one.attributes, at,
        )  # fmt: skip
        directory += one.name + one.extra
    out += gap
    start = len(out)
    out += directory
    entries = len(members) if count is None else count
    if end is not None:
        out += end(start, len(directory), len(members))
    out += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, entries, entries, len(directory), start, len(comment))
    return bytes(out) + comment


def end64(start: int, length: int, members: int) -> bytes:
    """The end record of a directory with wide fields, and its locator."""
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, members, members, length, start)
    return record + struct.pack("<4sIQI", b"PK\6\7", 0, start + length, 1)


def block(
    name: bytes, size: int = 0, kind: bytes = b"0", link: bytes = b"", magic: bytes = b"ustar\x0000", **raw
) -> bytes:
    """A tar's header. ``raw`` replaces fields: mode, size_field, prefix, checksum."""
    head = bytearray(512)
    head[0 : len(name)] = name
    head[100:108] = raw.get("mode", b"0000644\0")
    head[108:116] = head[116:124] = b"0000000\0"
    head[124:136] = raw.get("size_field", b"%011o\0" % size)
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[156:157] = kind
    head[157 : 157 + len(link)] = link
    head[257 : 257 + len(magic)] = magic
    prefix = raw.get("prefix", b"")
    head[345 : 345 + len(prefix)] = prefix
    head[148:156] = raw.get("checksum", b"%06o\0 " % sum(head))
    return bytes(head)


def part(name: bytes, data: bytes = b"", kind: bytes = b"0", **fields) -> bytes:
    """A header with content."""
    return block(name, len(data), kind, **fields) + data + bytes(-len(data) % 512)


END = bytes(1024)


def tar_of(*parts: bytes, end: bytes = END) -> bytes:
    """A tar of headers and contents."""
    return b"".join(parts) + end


def pax(**records: bytes) -> bytes:
    """A pax header for the member that follows."""
    return part(b"PaxHeader/x", b"".join(_record(key.encode(), value) for key, value in records.items()), b"x")


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while length != len(b"%d %s=%s\n" % (length, key, value)):
        length = len(b"%d %s=%s\n" % (length, key, value))
    return b"%d %s=%s\n" % (length, key, value)


def python_tar(format: int, files: dict[str, bytes], mode: str = "w") -> bytes:
    """A tar as Python writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=format) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_lzma(data: bytes) -> bytes:
    """A member's content with method 14, with the mark at its end."""
    whole = lzma.compress(data, lzma.FORMAT_ALONE)
    return b"\x09\x04\x05\0" + whole[:5] + whole[13:]


def gzipped(data: bytes) -> bytes:
    """A gzip file without a time."""
    return gzip.compress(data, mtime=0)
