"""The table of GUIDs at the end of OVMF, which leads to what it says about its own launch.

Source: OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm of EDK II. The table ends 32 bytes before the end of the firmware
and is read backwards: the GUID and the size of each entry follow its data.
"""

from uuid import UUID

from cloister.attestation.errors import MalformedEvidence

MAX_FIRMWARE = 16 * 1024 * 1024
"""Bytes of a firmware."""

PAGE = 4096

_TABLE_END = 32
_ENTRY = 18
_FOOTER = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")


def table(data: bytes) -> dict[UUID, bytes]:
    """The entries of the table in a firmware file. Raises MalformedEvidence, also for a file that is not OVMF."""
    if len(data) % PAGE or not 0 < len(data) <= MAX_FIRMWARE:
        raise malformed("size", 0, f"is {len(data)} bytes, must be whole pages, at most {MAX_FIRMWARE} bytes")
    end = len(data) - _TABLE_END
    if UUID(bytes_le=data[end - 16 : end]) != _FOOTER:
        raise malformed("table", end, "is missing: the file does not end like OVMF")
    first = end - int.from_bytes(data[end - _ENTRY : end - 16], "little")
    if first < 0 or first > end - _ENTRY:
        raise malformed("table", end, "has an impossible size")
    found: dict[UUID, bytes] = {}
    end -= _ENTRY
    while end - first >= _ENTRY:
        size = int.from_bytes(data[end - _ENTRY : end - 16], "little")
        if not _ENTRY <= size <= end - first:
            raise malformed("table", end, "has an entry of an impossible size")
        found[UUID(bytes_le=data[end - 16 : end])] = data[end - size : end - _ENTRY]
        end -= size
    return found


def word(entry: bytes) -> int:
    """The number that an entry begins with."""
    return int.from_bytes(entry[:4], "little")


def malformed(field: str, offset: int, reason: str) -> MalformedEvidence:
    """The error for ``field`` of a firmware."""
    return MalformedEvidence(f"firmware.{field}", offset, reason)
