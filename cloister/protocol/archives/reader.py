"""Sequential readers: of a file, hashed on the way, and of the decompressed bytes of another reader."""

import bz2
import lzma
import re
import sys
import zlib
from collections.abc import Callable
from typing import IO, Protocol

from cloister.protocol.archives.errors import AGAIN, REPACK, ArchiveError, decode
from cloister.protocol.archives.limits import CHUNK, MAX_DICTIONARY, MAX_PADDING, MAX_WINDOW_LOG

_PIECE = 256 * 1024
"""Compressed bytes for one step of a decoder."""

_FIRST_PIECE = 4096
"""The same for the first step: of many short streams, each is given little that it does not need."""


class ByteReader:
    """Reads forwards. A subclass fills the buffer."""

    def __init__(self) -> None:
        self._buffer = memoryview(b"")
        self._at = 0

    def _fill(self) -> bytes:
        """The next bytes, empty at the end."""
        raise NotImplementedError

    def view(self, most: int) -> memoryview:
        """The next bytes, at least one and at most ``most``, which remain to be read; empty at the end."""
        if most and self._at >= len(self._buffer):
            self._buffer, self._at = memoryview(self._fill()), 0
        return self._buffer[self._at : self._at + most]

    def skip(self, size: int) -> None:
        """Go on after ``size`` bytes of the last view; a negative size takes back that many bytes of it."""
        self._at += size

    def some(self, most: int) -> memoryview:
        """At least one and at most ``most`` bytes; empty at the end."""
        taken = self.view(most)
        self.skip(len(taken))
        return taken

    def drop(self, size: int) -> int:
        """Read ``size`` bytes, or fewer at the end, and return how many there were."""
        left = size
        while left and (found := self.some(min(left, CHUNK))):
            left -= len(found)
        return size - left

    def exactly(self, size: int) -> bytes:
        """``size`` bytes, or fewer at the end."""
        first = self.some(size)
        if len(first) == size:
            return bytes(first)
        parts = [bytes(first)]
        missing = size - len(first)
        while missing and (more := self.some(missing)):
            parts.append(bytes(more))
            missing -= len(more)
        return b"".join(parts)

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer at the end, which remain to be read."""
        found = self.view(size)
        if len(found) < size:
            found = self.exactly(size)
            self._buffer, self._at = memoryview(found + self._buffer[self._at :].tobytes()), 0
        return bytes(found)

    def pad(self, what: str) -> None:
        """Read to the end: nothing but zeros, and a bounded number. Raises ArchiveError."""
        seen = 0
        while data := self.some(CHUNK):
            if any(bytes(data).strip(b"\0")):
                raise ArchiveError(f"{what} is followed by other data.", hint=REPACK)
            seen += len(data)
            if seen > MAX_PADDING:
                raise ArchiveError(f"{what} is followed by more than {MAX_PADDING} zeros.", hint=REPACK)


class Source(ByteReader):
    """A seekable file. ``take`` gets every byte once and in order, for a digest or a progress bar."""

    def __init__(self, stream: IO[bytes], take: Callable[[bytes], object] = lambda data: None) -> None:
        super().__init__()
        self._stream = stream
        self._take = take
        self._next = 0
        self.size = stream.seek(0, 2)
        stream.seek(0)

    def _fill(self) -> bytes:
        data = self._stream.read(CHUNK)
        self._next += len(data)
        self._take(data)
        return data

    def at(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``, or fewer at the end, without a change of what is read next."""
        if offset >= self.size:
            return b""  # no file has an offset of 64 bits
        self._stream.seek(offset)
        data = self._stream.read(size)
        self._stream.seek(self._next)
        return data

    def drain(self) -> None:
        """Read to the end, so that ``take`` gets all bytes."""
        while self.some(CHUNK):
            pass


class Piece(ByteReader):
    """``size`` bytes of a file from ``offset`` on. ``take`` gets each once and in order."""

    def __init__(
        self, stream: IO[bytes], offset: int, size: int, take: Callable[[bytes], object] = lambda data: None
    ) -> None:
        super().__init__()
        self._stream = stream
        self._next, self._end = offset, offset + size
        self._take = take

    def _fill(self) -> bytes:
        self._stream.seek(self._next)
        data = self._stream.read(min(CHUNK, self._end - self._next))
        self._next += len(data)
        self._take(data)
        return data


class Tapped(ByteReader):
    """The bytes of another reader. ``take`` gets each once and in order."""

    def __init__(self, source: ByteReader, take: Callable[[bytes], object]) -> None:
        super().__init__()
        self._source = source
        self._take = take

    def _fill(self) -> bytes:
        data = bytes(self._source.some(CHUNK))
        self._take(data)
        return data


class Decoder(Protocol):
    """A decompressor as :mod:`bz2` and :mod:`lzma` have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Inflate:
    """zlib's decompressor as a :class:`Decoder`; ``wbits`` as in :mod:`zlib`: 31 for gzip, -15 without header."""

    def __init__(self, wbits: int) -> None:
        self._decoder = zlib.decompressobj(wbits)
        self._full = False

    @property
    def eof(self) -> bool:
        """The stream is complete, its checksum correct."""
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        """No output is left for the input so far."""
        return not (self.eof or self._full or self._decoder.unconsumed_tail)

    @property
    def unused_data(self) -> bytes:
        """What followed the stream in its last input."""
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most ``max_length`` bytes (positive) of output."""
        made = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        self._full = len(made) == max_length
        return made


ZSTD = b"(\xb5/\xfd"
_SKIPPABLE = re.compile(rb"[P-_]\*M\x18")
"""Begins a frame of Zstandard that holds no content (RFC 8878, 3.1.2)."""


def begins(magic: bytes, first: bytes) -> bool:
    """Return whether a stream of the kind that ``magic`` begins may begin with ``first``."""
    return first == magic or (magic == ZSTD and _SKIPPABLE.fullmatch(first) is not None)


def new_decoder(magic: bytes) -> Decoder:
    """A decoder for a stream that begins with ``magic`` (RFC 1952, bzip2, xz-file-format 1.2, RFC 8878)."""
    if magic == ZSTD:
        # Imported late: most archives need no package.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
    if magic == b"\x1f\x8b":
        return Inflate(31)
    if magic == b"BZh":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)


class Decompressed(ByteReader):
    """The content of one or more gzip, bzip2, xz or zstd streams, each to its end, with its checksums."""

    def __init__(self, source: ByteReader, magic: bytes, what: str) -> None:
        super().__init__()
        self._source = source
        self._magic = magic
        self._what = what
        self._decoder: Decoder | None = new_decoder(magic)
        self._step = _FIRST_PIECE

    def _fill(self) -> bytes:
        while self._decoder is not None:
            if self._decoder.eof:
                self._follow()
                continue
            given = self._source.view(self._step if self._decoder.needs_input else 0)
            if not given and self._decoder.needs_input:
                raise ArchiveError(f"{self._what} is truncated: its compressed data has no end.", hint=AGAIN)
            made = decode(self._decoder.decompress, bytes(given), CHUNK, self._what)
            self._source.skip(len(given) - len(self._decoder.unused_data))
            self._step = min(2 * self._step, _PIECE)
            if made:
                return made
        return b""

    def _follow(self) -> None:
        """Go on with the stream that follows, after optional zeros, or end here."""
        zeros = 0
        while data := bytes(self._source.view(_FIRST_PIECE)):
            rest = data.lstrip(b"\0")
            self._source.skip(len(data) - len(rest))
            zeros += len(data) - len(rest)
            if zeros > MAX_PADDING:
                raise ArchiveError(f"{self._what} is followed by more than {MAX_PADDING} zeros.", hint=REPACK)
            if rest:
                if not begins(self._magic, self._source.peek(len(self._magic))):
                    raise ArchiveError(f"{self._what} is followed by other data.", hint=REPACK)
                self._decoder, self._step = new_decoder(self._magic), _FIRST_PIECE
                return
        self._decoder = None
