"""What an IGVM file says of its own launch: launch digest of SEV-SNP and MRTD of TDX.

Such a file lists, in order, what a host puts into a machine before it starts. Azure's paravisor (OpenHCL),
COCONUT-SVSM and QEMU use the format. Source: the crate ``igvm_defs`` 0.4 (IGVM_FIXED_HEADER, IGVM_VHT_*), which is its
specification.

Hosts differ in a page without data: Hyper-V measures its 4096 zeros, QEMU a page of the type ZERO.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.launch.ovmf import PAGE
from cloister.attestation.launch.snp import NOT_MEASURED, MeasuredPage, PageType
from cloister.attestation.launch.tdx import blocks

MAX_SIZE = 128 * 1024 * 1024
"""Bytes of a file."""

MAGIC = b"IGVM"

_HEADER = struct.Struct("<4sIIIII")
_CHECKSUM_AT = 20
_HEADER_SIZES = {1: 24, 2: 32}
_VARIABLE = struct.Struct("<II")
_OPTIONAL = 1 << 31
_MAX_HEADERS = 1 << 20
_MAX_PAGES = 1 << 18
_SMALL, _LARGE = PAGE, 2 * 1024 * 1024

# IGVM_VHT_*: what is read, and what may be there without changing a measurement.
_PLATFORM, _AREA, _PAGE_DATA, _INSERT, _CONTEXT = 0x1, 0x301, 0x302, 0x303, 0x304
_INITIALIZATION = range(0x101, 0x107)
_DIRECTIVES = (*range(0x301, 0x306), *range(0x307, 0x314))
# IGVM_VHS_SUPPORTED_PLATFORM, _PARAMETER_AREA, _PAGE_DATA, _PARAMETER_INSERT, _VP_CONTEXT
_STRUCTS = {
    _PLATFORM: struct.Struct("<IBBHQ"),
    _AREA: struct.Struct("<QII"),
    _PAGE_DATA: struct.Struct("<QIIIHH"),
    _INSERT: struct.Struct("<QII"),
    _CONTEXT: struct.Struct("<QIIHH"),
}
SEV_SNP, TDX = 2, 3
_TWO_MEBIBYTES, _UNMEASURED, _SHARED = 1, 2, 4
_SECRETS, _CPUID_DATA, _CPUID_XF = 1, 2, 3


@dataclass(frozen=True)
class IgvmPage:
    """A page that the host puts in: ``contents`` have 4096 bytes, or none for zeros. ``kind`` is that of SEV-SNP.

    ``measured``: a TD measures the contents; otherwise only that the page was added.
    """

    kind: PageType
    address: int
    contents: bytes
    what: str
    measured: bool = True


@dataclass(frozen=True)
class IgvmFile:
    """The pages of an IGVM file for each platform it supports: ``SEV_SNP`` or ``TDX``. Of others there is the number,
    without pages.
    """

    pages: dict[int, tuple[IgvmPage, ...]]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence."""
        if len(data) < _HEADER.size or data[:4] != MAGIC:
            raise _malformed("magic", 0, "is not IGVM")
        _, version, start, size, total, checksum = _HEADER.unpack_from(data)
        fixed = _HEADER_SIZES.get(version)
        if fixed is None:
            raise _malformed("format_version", 4, f"is {version}, must be 1 or 2")
        if total != len(data) or total > MAX_SIZE:
            raise _malformed("total_file_size", 16, f"is {total}, the file has {len(data)} bytes, at most {MAX_SIZE}")
        if start < fixed or start + size > len(data):
            raise _malformed("variable_header_size", 8, f"is {size} at {start}, beyond the file")
        covered = data[:_CHECKSUM_AT] + bytes(4) + data[_HEADER.size : fixed] + data[start : start + size]
        if zlib.crc32(covered) != checksum:
            raise _malformed("checksum", _CHECKSUM_AT, "differs from that of the headers: the file was changed")
        return cls(_pages(data, tuple(_headers(data, start, start + size))))

    def measured(self, *, zero_pages: bool) -> Iterator[MeasuredPage]:
        """What the launch digest of SEV-SNP has. ``zero_pages``: as QEMU treats a page without data.

        Raises MalformedEvidence if the file is not for SEV-SNP.
        """
        for one in self._of(SEV_SNP, "SEV-SNP"):
            kind, contents = one.kind, NOT_MEASURED
            if kind is PageType.VMSA or (kind is PageType.NORMAL and (one.contents or not zero_pages)):
                contents = hashlib.sha384(one.contents.ljust(PAGE, b"\0")).digest()
            elif kind is PageType.NORMAL:
                kind = PageType.ZERO
            yield MeasuredPage(kind, one.address, contents, one.what)

    def mrtd(self) -> bytes:
        """MRTD. Raises MalformedEvidence if the file is not for TDX."""
        found = hashlib.sha384()
        for one in self.td_pages():
            contents = one.contents.ljust(PAGE, b"\0") if one.measured else b""
            for block in blocks(one.address, contents):
                found.update(block)
        return found.digest()

    def td_pages(self) -> tuple[IgvmPage, ...]:
        """The pages that a TD is built from. Raises MalformedEvidence if the file is not for TDX."""
        return tuple(one for one in self._of(TDX, "TDX") if one.kind is not PageType.VMSA)

    def _of(self, platform: int, name: str) -> tuple[IgvmPage, ...]:
        if platform not in self.pages:
            raise _malformed("platforms", 0, f"do not include {name}")
        return self.pages[platform]


def _headers(data: bytes, place: int, end: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Type and members of each variable header that matters here."""
    for _ in range(_MAX_HEADERS):
        if place == end:
            return
        if place + _VARIABLE.size > end:
            raise _malformed("variable headers", place, "end inside a header")
        kind, length = _VARIABLE.unpack_from(data, place)
        body = place + _VARIABLE.size
        if length > end - body:
            raise _malformed("variable headers", place, f"have one of {length} bytes, {end - body} are left")
        form = _STRUCTS.get(kind)
        if form is not None:
            if length != form.size:
                raise _malformed("variable headers", place, f"have type {kind:#x} with {length} bytes")
            yield kind, form.unpack_from(data, body)
        elif kind not in (*_INITIALIZATION, *_DIRECTIVES) and not kind & _OPTIONAL:
            raise _malformed("variable headers", place, f"have the unknown type {kind:#x}")
        place = body + length + -length % 8
    raise _malformed("variable headers", place, f"are more than {_MAX_HEADERS}")


def _pages(data: bytes, headers: tuple[tuple[int, tuple[int, ...]], ...]) -> dict[int, tuple[IgvmPage, ...]]:
    """The pages of each platform, in the order of the file."""
    found: dict[int, tuple[IgvmPage, ...]] = {}
    for kind, members in headers:
        if kind == _PLATFORM:
            mask, _, platform = members[:3]
            if platform in found or mask.bit_count() != 1:
                raise _malformed("platforms", 0, f"have {platform} twice, or with the mask {mask:#x}")
            # A small file can name 32 platforms and 262,144 pages of each.
            found[platform] = tuple(_pages_of(data, headers, mask, platform)) if platform in (SEV_SNP, TDX) else ()
    if not found:
        raise _malformed("platforms", 0, "are missing")
    return found


def _pages_of(
    data: bytes, headers: tuple[tuple[int, tuple[int, ...]], ...], mask: int, platform: int
) -> Iterator[IgvmPage]:
    areas: dict[int, int] = {}
    count = 0
    for kind, members in headers:
        if kind == _AREA:
            size, index, _ = members
            areas[index] = size
            continue
        if kind == _PLATFORM or not members[1] & mask:
            continue
        pages: Iterator[IgvmPage] = iter(())
        if kind == _PAGE_DATA:
            pages = _page_data(data, members)
        elif kind == _INSERT:
            pages = _inserted(members, areas)
        elif kind == _CONTEXT and platform == SEV_SNP:
            address, _, offset, number, _ = members
            contents = _contents(data, offset, PAGE)
            pages = iter((IgvmPage(PageType.VMSA, address, contents, f"the state of processor {number + 1}"),))
        for page in pages:
            count += 1
            if count > _MAX_PAGES:
                raise _malformed("pages", 0, f"are more than {_MAX_PAGES}")
            yield page


def _page_data(data: bytes, members: tuple[int, ...]) -> Iterator[IgvmPage]:
    address, _, offset, flags, purpose, _ = members
    if flags & ~(_TWO_MEBIBYTES | _UNMEASURED | _SHARED) or purpose > _CPUID_XF:
        raise _malformed("page data", 0, f"has flags {flags:#x} and type {purpose:#x}")
    if flags & _SHARED:
        return
    size = _LARGE if flags & _TWO_MEBIBYTES else _SMALL
    contents = _contents(data, offset, size) if offset else b""
    kind, what = PageType.NORMAL, "contents of the file"
    if purpose == _SECRETS:
        kind, what = PageType.SECRETS, "secrets of the guest"
    elif purpose in (_CPUID_DATA, _CPUID_XF):
        kind, what = PageType.CPUID, "CPUID"
    elif flags & _UNMEASURED:
        kind, what = PageType.UNMEASURED, "contents that are not measured"
    elif not contents:
        what = "zeros"
    for place in range(0, size, PAGE):
        yield IgvmPage(kind, address + place, contents[place : place + PAGE], what, not flags & _UNMEASURED)


def _inserted(members: tuple[int, ...], areas: dict[int, int]) -> Iterator[IgvmPage]:
    address, _, index = members
    if index not in areas:
        raise _malformed("parameter insert", 0, f"names the area {index}, which is not there before it")
    if areas[index] > _MAX_PAGES * PAGE:
        raise _malformed("parameter insert", 0, f"has an area of {areas[index]} bytes")
    for place in range(0, areas[index], PAGE):
        yield IgvmPage(PageType.UNMEASURED, address + place, b"", "parameters of the host", measured=False)


def _contents(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        raise _malformed("file data", offset, f"has {size} bytes beyond the file")
    return data[offset : offset + size]


def _malformed(field: str, offset: int, reason: str) -> MalformedEvidence:
    return MalformedEvidence(f"IGVM.{field}", offset, reason)
