"""The members of a zip: local headers that agree with the directory, contents with their checksums.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.9, 4.4.5 and 5.8. Every byte before the directory belongs to one
member, so that no other reader can find other members.
"""

import bz2
import lzma
import stat
import struct
import zlib
from collections.abc import Iterator

from cloister.protocol.archives.errors import AGAIN, REPACK, ArchiveError, decode
from cloister.protocol.archives.limits import CHUNK, MAX_DICTIONARY, MAX_LINK
from cloister.protocol.archives.links import Link
from cloister.protocol.archives.paths import decode_name, shown
from cloister.protocol.archives.reader import Decoder, Inflate, Source
from cloister.protocol.archives.tree import ArchiveTree, Pieces
from cloister.protocol.archives.zipdirectory import (
    ENCRYPTED,
    HAS_DESCRIPTOR,
    IS_UTF8,
    ZipMember,
    read_directory,
    wide_fields,
)

_LOCAL = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATE, _BZIP2, _LZMA = 0, 8, 12, 14
_METHODS = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 16: "CMPSC", 18: "TERSE", 19: "LZ77", 20: "Zstandard", 93: "Zstandard",
    94: "MP3", 95: "XZ", 96: "JPEG", 97: "WavPack", 98: "PPMd",
}  # fmt: skip
_LZMA_EOS = 0x0002
_PIECE = 256 * 1024


def read_zip(source: Source, tree: ArchiveTree) -> None:
    """Give all members of a zip to ``tree``, in the order of their bytes. Raises ArchiveError."""
    directory = read_directory(source)
    members = directory.members
    for member in members:
        _check_kind(member)
    tree.repeat(_repeated(members))
    if members[0].offset if members else directory.offset:
        raise ArchiveError(
            "The zip begins with bytes that belong to no member.",
            hint="Repack the original files; remove what was put before the zip.",
        )
    starts = [*(member.offset for member in members[1:]), directory.offset]
    for member, limit in zip(members, starts, strict=False):
        _read_member(source, member, limit, tree)
    source.drain()


def _repeated(members: list[ZipMember]) -> set[str]:
    seen: set[str] = set()
    repeated = set()
    for member in members:
        (repeated if member.path in seen else seen).add(member.path)
    return repeated


def _check_kind(member: ZipMember) -> None:
    """Raise ArchiveError for members that cannot be unpacked."""
    kind = stat.S_IFMT(member.mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK) or (kind == stat.S_IFDIR and not member.folder):
        raise ArchiveError(f"Member {shown(member.path)} is neither a file nor a folder nor a link.", hint=REPACK)
    if member.method not in (_STORED, _DEFLATE, _BZIP2, _LZMA):
        method = _METHODS.get(member.method, f"method {member.method}")
        raise ArchiveError(
            f"Member {shown(member.path)} is compressed with {method}, which is not supported.",
            hint="Repack it with Deflate, for example with `zip -r data.zip FOLDER` (7-Zip: parameter `mm=Deflate`).",
        )
    if member.folder and member.size:
        raise ArchiveError(f"Member {shown(member.path)} is a folder, but has content.", hint=REPACK)
    if stat.S_ISLNK(member.mode) and not member.folder and member.size > MAX_LINK:
        raise ArchiveError(f"The link {shown(member.path)} has a target of more than {MAX_LINK} bytes.", hint=REPACK)


def _read_member(source: Source, member: ZipMember, limit: int, tree: ArchiveTree) -> None:
    """Give a member to ``tree``. ``limit`` is where the next begins."""
    header = source.exactly(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
        raise ArchiveError(f"Member {shown(member.path)} is not where the zip's directory says.", hint=AGAIN)
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(header)
    name, extra = source.exactly(name_length), source.exactly(extra_length)
    wide = wide_fields(extra, size, packed)
    same = name == member.raw and method == member.method and not (flags ^ member.flags) & ENCRYPTED
    if not member.raw.isascii():
        same = same and not (flags ^ member.flags) & IS_UTF8
    stated = (crc, wide[0], wide[1]) if wide else None
    truth = (member.crc, member.size, member.packed)
    if stated != truth and flags & HAS_DESCRIPTOR and stated is not None:
        same = same and all(one in (0, true) for one, true in zip(stated, truth, strict=True))
    else:
        same = same and stated == truth
    after = limit - member.offset - _LOCAL.size - name_length - extra_length - member.packed
    if not same or (after == 0 and stated != truth):
        raise ArchiveError(
            f"Member {shown(member.path)} differs between the zip's directory and its own header.", hint=REPACK
        )
    if after < 0:
        raise ArchiveError(f"Member {shown(member.path)} overlaps what follows it in the zip.", hint=REPACK)
    pieces = _content(source, member)
    if member.folder:
        for _ in pieces:
            pass
        tree.folder(member.path)
    elif stat.S_ISLNK(member.mode):
        tree.link(member.path, Link(decode_name(b"".join(pieces))))
    else:
        tree.file(member.path, member.size, pieces, executable=bool(member.mode & 0o100))
    if after and not (flags & HAS_DESCRIPTOR and after <= 24 and _is_descriptor(source.exactly(after), truth)):
        raise ArchiveError(f"Bytes after member {shown(member.path)} belong to no member of the zip.", hint=REPACK)


def _is_descriptor(data: bytes, truth: tuple[int, int, int]) -> bool:
    """Whether ``data`` repeats checksum and sizes, with or without a signature, with narrow or wide fields."""
    crc, size, packed = truth
    body = data.removeprefix(b"PK\7\x08") if len(data) in (16, 24) else data
    if len(body) == 12:
        full = 0xFFFFFFFF
        return body == struct.pack("<3I", crc, packed & full, size & full)
    return body == struct.pack("<IQQ", crc, packed, size)


def _content(source: Source, member: ZipMember) -> Pieces:
    """The content of a member. Raises ArchiveError unless size and checksum are those of the directory."""
    made = crc = 0
    for piece in _stored(source, member) if member.method == _STORED else _decompressed(source, member):
        made += len(piece)
        if made > member.size:
            raise _wrong_size(member)
        crc = zlib.crc32(piece, crc)
        yield piece
    if made != member.size:
        raise _wrong_size(member)
    if crc != member.crc:
        raise ArchiveError(
            f"Member {shown(member.path)} is damaged: expected CRC-32 {member.crc:08x}, found {crc:08x}.", hint=AGAIN
        )


def _wrong_size(member: ZipMember) -> ArchiveError:
    return ArchiveError(
        f"Member {shown(member.path)} does not have the {member.size} bytes that the zip's directory says.", hint=AGAIN
    )


def _stored(source: Source, member: ZipMember) -> Iterator[memoryview]:
    left = member.packed
    while left and (piece := source.some(left)):
        left -= len(piece)
        yield piece


def _decompressed(source: Source, member: ZipMember) -> Iterator[bytes]:
    what = f"Member {shown(member.path)}"
    left, made = member.packed, 0
    if member.method == _LZMA:
        decoder = _lzma_decoder(source.exactly(min(left, 9)), member)
        left -= 9
    else:
        decoder = Inflate(-zlib.MAX_WBITS) if member.method == _DEFLATE else bz2.BZ2Decompressor()
    while not decoder.eof:
        given = source.view(min(left, _PIECE) if decoder.needs_input else 0)
        if not given and decoder.needs_input:
            raise ArchiveError(f"{what} is truncated: its compressed data has no end.", hint=AGAIN)
        # One byte more than there should be, so that an excess is seen.
        piece = decode(decoder.decompress, bytes(given), min(CHUNK, member.size + 1 - made), what)
        source.skip(len(given))
        left -= len(given)
        made += len(piece)
        if piece:
            yield piece
    if left or decoder.unused_data:
        raise ArchiveError(f"{what} has other data after its compressed data.", hint=REPACK)


def _lzma_decoder(header: bytes, member: ZipMember) -> Decoder:
    """The decoder of a member with the header of 5.8.8, as one of the format .lzma, whose memory is bounded."""
    if len(header) < 9 or header[2:4] != b"\5\0":
        raise ArchiveError(f"Member {shown(member.path)} is damaged: its LZMA header is invalid.", hint=AGAIN)
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_DICTIONARY)
    size = 2**64 - 1 if member.flags & _LZMA_EOS else member.size
    decode(decoder.decompress, header[4:] + size.to_bytes(8, "little"), 0, f"Member {shown(member.path)}")
    return decoder
