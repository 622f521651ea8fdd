"""An IGVM file with the headers that a test gives it (source: ``launch/igvm.py``)."""

import struct
import zlib
from collections.abc import Iterable

from cloister.attestation.launch.igvm import SEV_SNP, TDX

PLATFORMS = ((1, SEV_SNP), (2, TDX))
"""Mask and type of the platforms of ``encode_igvm``."""


def platform(mask: int, kind: int) -> tuple[int, bytes]:
    """IGVM_VHT_SUPPORTED_PLATFORM."""
    return 0x1, struct.pack("<IBBHQ", mask, 0, kind, 1, 0)


def page(address: int, offset: int = 0, *, mask: int = 3, flags: int = 0, purpose: int = 0) -> tuple[int, bytes]:
    """IGVM_VHT_PAGE_DATA; ``offset`` 0: no data."""
    return 0x302, struct.pack("<QIIIHH", address, mask, offset, flags, purpose, 0)


def area(index: int, size: int) -> tuple[int, bytes]:
    """IGVM_VHT_PARAMETER_AREA."""
    return 0x301, struct.pack("<QII", size, index, 0)


def insert(address: int, index: int, *, mask: int = 3) -> tuple[int, bytes]:
    """IGVM_VHT_PARAMETER_INSERT."""
    return 0x303, struct.pack("<QII", address, mask, index)


def context(address: int, offset: int, *, mask: int = 1) -> tuple[int, bytes]:
    """IGVM_VHT_VP_CONTEXT of the first processor."""
    return 0x304, struct.pack("<QIIHH", address, mask, offset, 0, 0)


def encode_igvm(headers: Iterable[tuple[int, bytes]], data: bytes = b"", *, version: int = 1) -> bytes:
    """A file: ``data`` begins at ``data_offset`` of the same headers."""
    variable = b"".join(struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8) for kind, body in headers)
    rest = struct.pack("<II", 0, 4096) if version == 2 else b""
    start = 24 + len(rest)
    size = start + len(variable) + len(data)
    fixed = b"IGVM" + struct.pack("<IIII", version, start, len(variable), size)
    checksum = zlib.crc32(fixed + bytes(4) + rest + variable)
    return fixed + struct.pack("<I", checksum) + rest + variable + data


def data_offset(headers: Iterable[tuple[int, bytes]]) -> int:
    """Where the data of a file of version 1 with ``headers`` begins."""
    return len(encode_igvm(headers))
