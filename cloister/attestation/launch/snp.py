"""The launch digest of SEV-SNP, computed from a firmware: what a host that launches it so must measure.

Sources: "SEV Secure Nested Paging Firmware ABI Specification", AMD publication 56860, revision 1.58, section 8.17
(SNP_LAUNCH_UPDATE: how PAGE_INFO extends the digest). OVMF's table of GUIDs leads to the list of measured pages
(OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm). The page with the hashes of kernel, initrd and command line is
QEMU's (target/i386/sev.c). The state of a processor at start is a VMSA (AMD64 Architecture Programmer's Manual,
publication 24593, volume 2, table B-4) as KVM and QEMU set it up.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Self
from uuid import UUID

from cloister.attestation.launch import ovmf
from cloister.attestation.launch.ovmf import PAGE, malformed

MODELS: Mapping[str, int] = MappingProxyType(
    {"EPYC": 0x800F12, "EPYC-Rome": 0x830F10, "EPYC-Milan": 0xA00F11, "EPYC-Genoa": 0xA10F10, "EPYC-Turin": 0xB00F00}
)
"""QEMU's models of processors with SEV-SNP, and the CPUID signature (Fn0000_0001 EAX) of each."""

VMSA_ADDRESS = 0xFFFFFFFFF000
"""Where KVM says that a processor's state is."""

NOT_MEASURED = bytes(48)
"""In place of the digest of a page whose contents are not measured."""

_FOUR_GIB = 1 << 32
_HASH_TABLE = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
_RESET_BLOCK = UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")
_METADATA = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
_SIGNATURE = b"ASEV"
_MAX_SECTIONS = 64
_MAX_PAGES = 1 << 12
_KERNEL_HASHES = 0x10
_HASHES_HEADER_SIZE = 18
_HASHES_HEADER = UUID("9438d606-4f22-4cc9-b479-a793d411fd21")
_HASHES = (
    ("command_line", UUID("97d02dd8-bd20-4c94-aa78-e7714d36ab2a")),
    ("initrd", UUID("44baf731-3a2f-4bd7-9af1-41e29169781d")),
    ("kernel", UUID("4de79437-abd2-427f-b835-d5b172d2045b")),
)
_BOOT_EIP = 0xFFFFFFF0
_SNP_ACTIVE = 1
# Offset, format and value of what is not zero; segments are selector, attributes, limit and base.
_SEGMENT = struct.Struct("<HHIQ")
_DATA_SEGMENTS = (0x00, 0x20, 0x30, 0x40, 0x50)
_REGISTERS = (
    (0x0D0, "<Q", 0x1000),  # EFER: SVME
    (0x148, "<Q", 0x40),  # CR4: MCE
    (0x158, "<Q", 0x10),  # CR0: ET
    (0x160, "<Q", 0x400),  # DR7
    (0x168, "<Q", 0xFFFF0FF0),  # DR6
    (0x170, "<Q", 0x2),  # RFLAGS
    (0x268, "<Q", 0x7040600070406),  # G_PAT
    (0x3B0, "<Q", _SNP_ACTIVE),  # SEV_FEATURES
    (0x3E8, "<Q", 0x1),  # XCR0
    (0x408, "<I", 0x1F80),  # MXCSR
    (0x410, "<H", 0x37F),  # x87 FCW
)


class PageType(IntEnum):
    """PAGE_TYPE of SNP_LAUNCH_UPDATE."""

    NORMAL = 1
    VMSA = 2
    ZERO = 3
    UNMEASURED = 4
    SECRETS = 5
    CPUID = 6


_SECTIONS = {
    1: (PageType.ZERO, "memory of the firmware"),
    2: (PageType.SECRETS, "secrets of the guest"),
    3: (PageType.CPUID, "CPUID"),
    4: (PageType.ZERO, "calling area of the SVSM"),
    _KERNEL_HASHES: (PageType.ZERO, "hashes of kernel, initrd and command line: none"),
}
_ONE_PAGE = (2, 3, _KERNEL_HASHES)


@dataclass(frozen=True)
class MeasuredPage:
    """A page as the launch digest has it: the SHA-384 of its contents, or ``NOT_MEASURED``; ``what`` is for people."""

    kind: PageType
    address: int
    contents: bytes
    what: str

    def extend(self, digest: bytes) -> bytes:
        """The digest after this page: PAGE_INFO has no migration image and no rights of other VMPLs."""
        page = struct.pack("<HBBIQ", 0x70, self.kind, 0, 0, self.address)
        return hashlib.sha384(digest + self.contents + page).digest()


def replay(pages: Iterable[MeasuredPage], start: bytes = bytes(48)) -> bytes:
    """The launch digest after ``pages``."""
    found = start
    for page in pages:
        found = page.extend(found)
    return found


@dataclass(frozen=True)
class KernelHashes:
    """SHA-256 of what QEMU loads besides the firmware: ``kernel`` and ``initrd``, and the command line with its end."""

    kernel: bytes
    initrd: bytes = hashlib.sha256(b"").digest()
    command_line: bytes = hashlib.sha256(b"\0").digest()

    def page(self, offset: int) -> bytes:
        """The page that QEMU writes, with the table at ``offset``."""
        entries = b"".join(guid.bytes_le + struct.pack("<H", 50) + getattr(self, name) for name, guid in _HASHES)
        table = _HASHES_HEADER.bytes_le + struct.pack("<H", _HASHES_HEADER_SIZE + len(entries)) + entries
        return (bytes(offset) + table).ljust(PAGE, b"\0")[:PAGE]


@dataclass(frozen=True)
class OvmfFirmware:
    """What OVMF says about its own launch.

    data: the firmware, which ends at 4 GiB.
    sections: address, size and kind of the pages that are measured besides it.
    hash_table: where the table of hashes belongs; None if the firmware takes none.
    reset_eip: where the processors after the first one start.
    """

    data: bytes
    sections: tuple[tuple[int, int, int], ...]
    hash_table: int | None
    reset_eip: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From a firmware file (``OVMF.fd``). Raises MalformedEvidence for one without SEV-SNP metadata."""
        table = ovmf.table(data)
        if _METADATA not in table or _RESET_BLOCK not in table:
            raise malformed("table", len(data), "has no SEV metadata: it is not a firmware for SEV-SNP")
        hashes = table.get(_HASH_TABLE)
        start = len(data) - ovmf.word(table[_METADATA])
        return cls(data, _sections(data, start), ovmf.word(hashes) if hashes else None, ovmf.word(table[_RESET_BLOCK]))

    @property
    def takes_hashes(self) -> bool:
        """Whether the firmware has a page for the hashes of a kernel."""
        return self.hash_table is not None and any(kind == _KERNEL_HASHES for _, _, kind in self.sections)

    def pages(self, hashes: KernelHashes | None) -> Iterator[MeasuredPage]:
        """What is measured before the first processor. ``hashes`` None: the host loads no kernel.

        Raises MalformedEvidence if the firmware takes no hashes.
        """
        start = _FOUR_GIB - len(self.data)
        for offset in range(0, len(self.data), PAGE):
            contents = hashlib.sha384(self.data[offset : offset + PAGE]).digest()
            yield MeasuredPage(PageType.NORMAL, start + offset, contents, "the firmware")
        if hashes is not None and not self.takes_hashes:
            raise malformed("sections", 0, "have no page for the hashes of a kernel")
        for address, size, kind in self.sections:
            if kind == _KERNEL_HASHES and hashes is not None and self.hash_table is not None:
                contents = hashlib.sha384(hashes.page(self.hash_table % PAGE)).digest()
                yield MeasuredPage(PageType.NORMAL, address, contents, "hashes of kernel, initrd and command line")
                continue
            page, what = _SECTIONS[kind]
            for place in range(address, address + size, PAGE):
                yield MeasuredPage(page, place, NOT_MEASURED, what)

    def processors(self, model: int, count: int) -> Iterator[MeasuredPage]:
        """What is measured after that: the state of ``count`` virtual processors of the CPUID signature ``model``."""
        first = hashlib.sha384(_save_area(_BOOT_EIP, model)).digest()
        yield MeasuredPage(PageType.VMSA, VMSA_ADDRESS, first, "the first processor")
        other = hashlib.sha384(_save_area(self.reset_eip, model)).digest()
        for number in range(2, count + 1):
            yield MeasuredPage(PageType.VMSA, VMSA_ADDRESS, other, f"processor {number}")

    def digest(self, hashes: KernelHashes | None) -> bytes:
        """The digest after ``pages``. Raises MalformedEvidence if the firmware takes no hashes."""
        return replay(self.pages(hashes))

    def launch_digests(self, found: bytes, model: int, most: int) -> Iterator[bytes]:
        """The launch digests with 1 to ``most`` virtual processors of the CPUID signature ``model``.

        ``found`` is the ``digest`` before the first one.
        """
        for page in self.processors(model, most):
            found = page.extend(found)
            yield found


def _save_area(eip: int, model: int) -> bytes:
    area = bytearray(PAGE)
    for offset in _DATA_SEGMENTS:
        _SEGMENT.pack_into(area, offset, 0, 0x93, 0xFFFF, 0)
    _SEGMENT.pack_into(area, 0x10, 0xF000, 0x9B, 0xFFFF, eip & 0xFFFF0000)  # CS
    for offset, attributes in ((0x60, 0), (0x70, 0x82), (0x80, 0), (0x90, 0x8B)):  # GDTR, LDTR, IDTR, TR
        _SEGMENT.pack_into(area, offset, 0, attributes, 0xFFFF, 0)
    for offset, form, value in (*_REGISTERS, (0x178, "<Q", eip & 0xFFFF), (0x310, "<Q", model)):  # RIP, RDX
        struct.pack_into(form, area, offset, value)
    return bytes(area)


def _sections(data: bytes, start: int) -> tuple[tuple[int, int, int], ...]:
    if not 0 <= start <= len(data) - 16 or data[start : start + 4] != _SIGNATURE:
        raise malformed("metadata", max(start, 0), "does not begin with ASEV")
    _, version, count = struct.unpack_from("<III", data, start + 4)
    if version != 1 or count > _MAX_SECTIONS or start + 16 + 12 * count > len(data):
        raise malformed("metadata", start, f"has version {version} and {count} sections")
    found = tuple(struct.unpack_from("<III", data, start + 16 + 12 * index) for index in range(count))
    for address, size, kind in found:
        if kind not in _SECTIONS or size > _MAX_PAGES * PAGE:
            raise malformed("metadata", start, f"has a section of kind {kind:#x} with {size} bytes")
        if address % PAGE or size % PAGE or (kind in _ONE_PAGE and size != PAGE):
            raise malformed("metadata", start, f"has {size} bytes at {address:#x} as {_SECTIONS[kind][1]}")
    return found
