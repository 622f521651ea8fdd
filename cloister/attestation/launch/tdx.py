"""MRTD, computed from a firmware: what a TDX module measures when a host builds a TD from it.

Sources: "Intel TDX Virtual Firmware Design Guide", revision 1.01, chapter 11 (the metadata that lists the regions of a
TD); "Intel TDX Module Base Architecture Specification", section on MRTD: TDH.MEM.PAGE.ADD extends the digest with the
address of a page, TDH.MR.EXTEND with the address and contents of 256 bytes. Each is one block of 128 bytes; one SHA-384
runs over all blocks.

Only the order is the host's choice. Linux (KVM_TDX_INIT_MEM_REGION, since 6.16) and Google add and measure page by
page. Older patches for QEMU 8 added all pages of a region first.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Self
from uuid import UUID

from cloister.attestation.launch import ovmf
from cloister.attestation.launch.ovmf import PAGE, malformed

_METADATA = UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")
_HEADER = struct.Struct("<4sIII")
_SECTION = struct.Struct("<IIQQII")
_SIGNATURE = b"TDVF"
_MAX_SECTIONS = 64
_MAX_PAGES = 1 << 14
_EXTEND_MR, _PAGE_AUG = 1, 2
_CHUNK = 256


class RegionKind(IntEnum):
    """What a region of a TD is for: design guide, table 11-4."""

    BOOT_VOLUME = 0
    CONFIGURATION_VOLUME = 1
    TD_HOB = 2
    TEMPORARY = 3
    PERMANENT = 4
    PAYLOAD = 5
    PAYLOAD_PARAMETERS = 6

    @property
    def words(self) -> str:
        """The region for people."""
        return _WORDS[self]


_KINDS = frozenset(RegionKind)
_WORDS = {
    RegionKind.BOOT_VOLUME: "the firmware's code",
    RegionKind.CONFIGURATION_VOLUME: "the firmware's variables",
    RegionKind.TD_HOB: "the list of memory that the host writes",
    RegionKind.TEMPORARY: "the firmware's stack and heap",
    RegionKind.PERMANENT: "memory",
    RegionKind.PAYLOAD: "the payload",
    RegionKind.PAYLOAD_PARAMETERS: "the payload's parameters",
}


class Order(StrEnum):
    """In which order a host adds and measures."""

    BY_PAGE = "page by page, as Linux since 6.16 and Google do"
    BY_REGION = "all pages of a region added, then measured, as older patches for QEMU 8 do"


@dataclass(frozen=True)
class TdRegion:
    """A region of the TD: what it is for, where it is, and its contents in the file.

    ``measured``: its contents are in MRTD; otherwise only the addresses of its pages are. ``added``: its pages are
    added at launch.
    """

    kind: RegionKind
    address: int
    size: int
    contents: bytes
    measured: bool
    added: bool

    @property
    def pages(self) -> int:
        """How many."""
        return self.size // PAGE


@dataclass(frozen=True)
class TdFirmware:
    """A firmware for TDs: ``regions`` in the order in which a host builds them."""

    regions: tuple[TdRegion, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From a firmware file (``OVMF.fd``). Raises MalformedEvidence for one without TDX metadata."""
        entry = ovmf.table(data).get(_METADATA)
        if entry is None:
            raise malformed("table", len(data), "has no TDX metadata: it is not a firmware for TDX")
        start = len(data) - ovmf.word(entry)
        if not 0 <= start <= len(data) - _HEADER.size or data[start : start + 4] != _SIGNATURE:
            raise malformed("TDX metadata", max(start, 0), "does not begin with TDVF")
        _, length, version, count = _HEADER.unpack_from(data, start)
        expected = _HEADER.size + _SECTION.size * count
        if version != 1 or not 0 < count <= _MAX_SECTIONS or length != expected or start + length > len(data):
            raise malformed("TDX metadata", start, f"has version {version}, {count} sections and {length} bytes")
        regions = tuple(_region(data, start + _HEADER.size + _SECTION.size * index) for index in range(count))
        if sum(region.pages for region in regions) > _MAX_PAGES:
            raise malformed("TDX metadata", start, f"has sections of more than {_MAX_PAGES} pages together")
        return cls(regions)

    def mrtd(self, order: Order = Order.BY_PAGE) -> bytes:
        """MRTD of a TD that is launched from this firmware."""
        found = hashlib.sha384()
        for region in self.regions:
            for block in _operations(region, order):
                found.update(block)
        return found.digest()

    @property
    def configuration_volume(self) -> bytes:
        """The firmware's variables, which it measures into RTMR 0; empty without any."""
        return next((one.contents for one in self.regions if one.kind is RegionKind.CONFIGURATION_VOLUME), b"")


def _region(data: bytes, place: int) -> TdRegion:
    offset, stored, address, size, kind, attributes = _SECTION.unpack_from(data, place)
    if kind not in _KINDS or attributes & ~(_EXTEND_MR | _PAGE_AUG):
        raise malformed("TDX metadata", place, f"has a section of kind {kind:#x} with attributes {attributes:#x}")
    if address % PAGE or size % PAGE or not 0 < size <= _MAX_PAGES * PAGE or stored > size:
        raise malformed("TDX metadata", place, f"has a section of {stored} in {size} bytes at {address:#x}")
    if offset + stored > len(data):
        raise malformed(
            "TDX metadata", place, "has a section after the end of the file: it is half of OVMF, without variables"
        )
    contents, measured = data[offset : offset + stored], bool(attributes & _EXTEND_MR)
    return TdRegion(RegionKind(kind), address, size, contents, measured, not attributes & _PAGE_AUG)


def blocks(address: int, contents: bytes, size: int = PAGE, *, added: bool = True) -> Iterator[bytes]:
    """The blocks of memory at ``address``: all its pages are added, then its ``contents`` measured, if any."""
    if added:
        for place in range(0, size, PAGE):
            yield _block(b"MEM.PAGE.ADD", address + place)
    for place in range(0, len(contents), _CHUNK):
        yield _block(b"MR.EXTEND", address + place)
        yield contents[place : place + _CHUNK]


def _operations(region: TdRegion, order: Order) -> Iterator[bytes]:
    """The blocks of one region."""
    contents = region.contents.ljust(region.size, b"\0") if region.measured else b""
    step = PAGE if order is Order.BY_PAGE else region.size
    for place in range(0, region.size, step):
        yield from blocks(region.address + place, contents[place : place + step], step, added=region.added)


def _block(operation: bytes, address: int) -> bytes:
    return operation.ljust(16, b"\0") + struct.pack("<Q", address) + bytes(104)
