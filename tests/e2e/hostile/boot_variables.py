"""Boot variables in OVMF's store, as a host can write them: the entry that starts the disk, with options.

Entry: UEFI Specification 2.10, sections 3.1.3 and 10.3.
"""

import struct

from image.formats import disk, gpt
from image.secureboot import varstore
from image.secureboot.enrolment import GLOBAL
from image.secureboot.varstore import StoredVariable

_ENTRY_NUMBER = 0x99
_ACTIVE = 1
# Media device path, hard drive (10.3.5.1): partition, start, size, GUID, GPT, by GUID.
_HARD_DRIVE = struct.Struct("<BBHIQQ16sBB")
_END_OF_PATH = b"\x7f\xff\x04\x00"
# The first row of the partition table lies in sector 2: type, unique GUID, first and last sector (5.3.3).
_PARTITION = struct.Struct("<16s16sQQ")


def with_load_options(store: bytes, image: bytes, options: str) -> bytes:
    """``store`` with the one boot entry that starts the disk ``image`` with the load options ``options``."""
    path = "\\" + disk.BOOT_FILE.replace("/", "\\")
    file = _text(path)
    device = _hard_drive(image) + struct.pack("<BBH", 4, 4, 4 + len(file)) + file + _END_OF_PATH
    entry = struct.pack("<IH", _ACTIVE, len(device)) + _text("Cloister") + device + _text(options)
    number = struct.pack("<H", _ENTRY_NUMBER)
    # BootNext takes precedence over BootOrder. A host can write it before every start.
    added = {f"Boot{_ENTRY_NUMBER:04X}": entry, "BootOrder": number, "BootNext": number}
    return varstore.add(store, [StoredVariable(name, GLOBAL, contents) for name, contents in added.items()])


def _hard_drive(image: bytes) -> bytes:
    _, identifier, first, last = _PARTITION.unpack_from(image, 2 * gpt.SECTOR_SIZE)
    return _HARD_DRIVE.pack(4, 1, _HARD_DRIVE.size, 1, first, last - first + 1, identifier, 2, 2)


def _text(text: str) -> bytes:
    """UTF-16, terminated."""
    return text.encode("utf-16-le") + b"\0\0"
