"""A firmware with the tables of OVMF for SEV-SNP, and nothing that could run (sources: ``snp/launch.py``)."""

import struct
from uuid import UUID

GUIDS = {
    "footer": UUID("96b582de-1fb2-45f7-baea-a366c55a082d"),
    "hashes": UUID("7255371f-3a3b-4b04-927b-1da6efa8d454"),
    "reset": UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e"),
    "metadata": UUID("dc886566-984a-4798-a75e-5585a7bf67cc"),
}
SECTIONS = (
    (0x800000, 0x9000, 1),
    (0x80A000, 0x3000, 1),
    (0x80D000, 0x1000, 2),
    (0x80E000, 0x1000, 3),
    (0x810000, 0x1000, 0x10),
)


def encode_firmware(
    sections: tuple[tuple[int, int, int], ...] = SECTIONS, *, fill: bytes = b"code", pages: int = 4
) -> bytes:
    """A firmware with the tables of OVMF and nothing else."""
    size = pages * 4096
    metadata = b"ASEV" + struct.pack("<III", 16 + 12 * len(sections), 1, len(sections))
    metadata += b"".join(struct.pack("<III", *one) for one in sections)

    def entry(name: str, data: bytes) -> bytes:
        return data + struct.pack("<H", len(data) + 18) + GUIDS[name].bytes_le

    entries = entry("metadata", struct.pack("<I", size - 64)) + entry("reset", struct.pack("<I", 0x80B004))
    entries += entry("hashes", struct.pack("<II", 0x810C00, 0x400))
    table = entries + struct.pack("<H", len(entries) + 18) + GUIDS["footer"].bytes_le
    body = (fill * size)[:64] + metadata
    return body + (fill * size)[: size - len(body) - len(table) - 32] + table + bytes(32)
