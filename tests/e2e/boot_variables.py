"""Boot variables in OVMF's store, as a host can write them: the entry that starts the disk, with options.

Variable store: EDK II, MdeModulePkg/Include/Guid/VariableFormat.h (authenticated variables) and UEFI PI 1.8 volume 3,
section 3.2.1 (firmware volume header). Entry: UEFI Specification 2.10, sections 3.1.3 and 10.3.
"""

import struct

from image.formats import disk, gpt

_GLOBAL = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")  # EFI_GLOBAL_VARIABLE, section 3.3
_STORE = bytes.fromhex("782cf3aa7b949a43a1802e144ec37792")  # gEfiAuthenticatedVariableGuid
_VOLUME_SIGNATURE, _VOLUME_SIGNATURE_OFFSET, _VOLUME_HEADER_SIZE_OFFSET = b"_FVH", 40, 48
# VARIABLE_STORE_HEADER: GUID, size, format, state, reserved.
_STORE_HEADER = struct.Struct("<16sIBBHI")
# AUTHENTICATED_VARIABLE_HEADER: start, state, reserved, attributes, count, time, key, sizes of name and data, vendor.
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_START, _ADDED = 0x55AA, 0x3F
_ATTRIBUTES = 7  # non-volatile, boot services, runtime
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
    at, end = _free(store, set(added))
    new = b"".join(_variable(name, data) for name, data in added.items())
    if at + len(new) > end:
        raise ValueError(f"The variable store has {end - at} bytes left, not {len(new)}.")
    return store[:at] + new + store[at + len(new) :]


def _hard_drive(image: bytes) -> bytes:
    _, identifier, first, last = _PARTITION.unpack_from(image, 2 * gpt.SECTOR_SIZE)
    return _HARD_DRIVE.pack(4, 1, _HARD_DRIVE.size, 1, first, last - first + 1, identifier, 2, 2)


def _free(store: bytes, names: set[str]) -> tuple[int, int]:
    """Offsets of the next variable and of the end of the store."""
    if store[_VOLUME_SIGNATURE_OFFSET:][:4] != _VOLUME_SIGNATURE:
        raise ValueError("The file of variables is not a firmware volume.")
    start = int.from_bytes(store[_VOLUME_HEADER_SIZE_OFFSET:][:2], "little")
    guid, size, *_ = _STORE_HEADER.unpack_from(store, start)
    if guid != _STORE:
        raise ValueError("The volume holds no store of authenticated variables.")
    at = start + _STORE_HEADER.size
    while store[at : at + 2] == _START.to_bytes(2, "little"):
        _, state, _, _, _, _, _, name_size, data_size, _ = _VARIABLE.unpack_from(store, at)
        name = store[at + _VARIABLE.size :][: name_size - 2].decode("utf-16-le")
        if state == _ADDED and name in names:
            raise ValueError(f"The store has a variable {name} already.")
        at += _aligned(_VARIABLE.size + name_size + data_size)
    return at, start + size


def _variable(name: str, data: bytes) -> bytes:
    text = _text(name)
    header = _VARIABLE.pack(_START, _ADDED, 0, _ATTRIBUTES, 0, bytes(16), 0, len(text), len(data), _GLOBAL)
    variable = header + text + data
    return variable + b"\xff" * (_aligned(len(variable)) - len(variable))


def _text(text: str) -> bytes:
    """UTF-16, terminated."""
    return text.encode("utf-16-le") + b"\0\0"


def _aligned(size: int) -> int:
    return -(-size // 4) * 4
