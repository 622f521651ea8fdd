"""Write the disk for Azure: a fixed VHD, which is the raw disk followed by a footer.

Microsoft, Virtual Hard Disk Image Format Specification, version 1.0 (11 October 2006). Azure requires a fixed VHD of
whole MiB: Microsoft, "Prepare a Windows VHD or VHDX to upload to Azure".
"""

import hashlib
import struct

from image.errors import ImageError

FOOTER_SIZE = 512
_ALIGNMENT = 1024 * 1024
_SECTOR_SIZE = 512

# "Hard Disk Footer Format": cookie, features, file format version, data offset, time stamp, creator application,
# version and host OS, original and current size, geometry (cylinders, heads, sectors), type, checksum, unique id,
# saved state, reserved. Big-endian.
_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16s?427x")
_COOKIE = b"conectix"
_NO_FEATURES = 2  # the one bit that is reserved and always set
_VERSION = 0x00010000
_NO_NEXT_STRUCTURE = 0xFFFFFFFFFFFFFFFF
_FIXED = 2
# Readers take the size from the geometry, which is rounded, unless the creator is known to use the current size. All
# of them know Hyper-V.
_CREATOR, _CREATOR_VERSION, _CREATOR_HOST = b"win ", 0x000A0000, b"Wi2k"


def build(disk: bytes) -> tuple[bytes, bytes]:
    """The VHD: the raw ``disk`` and its footer. Raises ImageError if the disk does not have whole MiB."""
    if not disk or len(disk) % _ALIGNMENT:
        raise ImageError(f"Invalid disk for Azure: {len(disk)} bytes are not whole MiB.")
    return disk, footer(len(disk), hashlib.sha256(disk).digest()[:16])


def footer(size: int, identifier: bytes) -> bytes:
    """The footer of a fixed disk of ``size`` bytes; ``identifier`` has 16 bytes. The time stamp is 0 (2000-01-01)."""
    cylinders, heads, sectors = geometry(size)

    def pack(checksum: int) -> bytes:
        return _FOOTER.pack(
            _COOKIE,
            _NO_FEATURES,
            _VERSION,
            _NO_NEXT_STRUCTURE,
            0,
            _CREATOR,
            _CREATOR_VERSION,
            _CREATOR_HOST,
            size,
            size,
            cylinders,
            heads,
            sectors,
            _FIXED,
            checksum,
            identifier,
            False,
        )

    # "Checksum": one's complement of the sum of all bytes of the footer without the checksum.
    return pack(~sum(pack(0)) & 0xFFFFFFFF)


def geometry(size: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track: "Appendix: CHS Calculation". ``size`` in bytes."""
    total = min(size // _SECTOR_SIZE, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        per_head = total // sectors
    else:
        sectors = 17
        per_head = total // sectors
        heads = max((per_head + 1023) // 1024, 4)
        if per_head >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            per_head = total // sectors
        if per_head >= heads * 1024:
            sectors, heads = 63, 16
            per_head = total // sectors
    return per_head // heads, heads, sectors
