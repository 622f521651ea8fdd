"""A firmware with the tables of OVMF for SEV-SNP and TDX, and nothing that could run.

Sources: ``launch/ovmf.py``, ``launch/snp.py``, ``launch/tdx.py``.
"""

import struct
from uuid import UUID

GUIDS = {
    "footer": UUID("96b582de-1fb2-45f7-baea-a366c55a082d"),
    "hashes": UUID("7255371f-3a3b-4b04-927b-1da6efa8d454"),
    "reset": UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e"),
    "metadata": UUID("dc886566-984a-4798-a75e-5585a7bf67cc"),
    "td": UUID("e47a6535-984a-4798-865e-4685a7bf8ec2"),
}
SECTIONS = (
    (0x800000, 0x9000, 1),
    (0x80A000, 0x3000, 1),
    (0x80D000, 0x1000, 2),
    (0x80E000, 0x1000, 3),
    (0x810000, 0x1000, 0x10),
)
# Offset and size in the file, address and size in memory, kind, attributes.
TD_SECTIONS = (
    (0x1000, 0x3000, 0xFFFFD000, 0x3000, 0, 1),
    (0, 0x1000, 0xFFFFC000, 0x1000, 1, 0),
    (0, 0, 0x809000, 0x2000, 2, 0),
    (0, 0, 0x80B000, 0x2000, 3, 0),
)


def encode_firmware(
    sections: tuple[tuple[int, int, int], ...] | None = SECTIONS,
    *,
    fill: bytes = b"code",
    pages: int = 4,
    td: tuple[tuple[int, int, int, int, int, int], ...] | None = None,
) -> bytes:
    """A firmware with the tables of OVMF and nothing else. None instead of sections: no such table."""
    size = pages * 4096
    body, entries = (fill * size)[:64], b""

    def entry(name: str, data: bytes) -> bytes:
        return data + struct.pack("<H", len(data) + 18) + GUIDS[name].bytes_le

    if td is not None:
        entries += entry("td", struct.pack("<I", size - len(body)))
        body += b"TDVF" + struct.pack("<III", 16 + 32 * len(td), 1, len(td))
        body += b"".join(struct.pack("<IIQQII", *one) for one in td)
    if sections is not None:
        entries += entry("metadata", struct.pack("<I", size - len(body)))
        entries += entry("reset", struct.pack("<I", 0x80B004)) + entry("hashes", struct.pack("<II", 0x810C00, 0x400))
        body += b"ASEV" + struct.pack("<III", 16 + 12 * len(sections), 1, len(sections))
        body += b"".join(struct.pack("<III", *one) for one in sections)
    table = entries + struct.pack("<H", len(entries) + 18) + GUIDS["footer"].bytes_le
    return body + (fill * size)[: size - len(body) - len(table) - 32] + table + bytes(32)
