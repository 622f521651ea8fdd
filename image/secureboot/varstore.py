"""Add variables to OVMF's store, the file that QEMU gives a machine as its second flash.

EDK II, MdeModulePkg/Include/Guid/VariableFormat.h (authenticated variables); UEFI PI 1.8, volume 3, section 3.2.1
(firmware volume header).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from image.errors import ImageError

NON_VOLATILE, BOOT_SERVICES, RUNTIME = 1, 2, 4

_AUTHENTICATED = UUID("aaf32c78-947b-439a-a180-2e144ec37792")  # gEfiAuthenticatedVariableGuid
_VOLUME_SIGNATURE, _VOLUME_SIGNATURE_OFFSET, _VOLUME_HEADER_SIZE_OFFSET = b"_FVH", 40, 48
# VARIABLE_STORE_HEADER: GUID, size, format, state, reserved.
_STORE_HEADER = struct.Struct("<16sIBBHI")
# AUTHENTICATED_VARIABLE_HEADER: start, state, reserved, attributes, count, time, key, sizes of name and data, vendor.
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_START, _ADDED = 0x55AA, 0x3F


@dataclass(frozen=True)
class StoredVariable:
    """A variable: ``time`` is its EFI_TIME, zero unless changes to it are authenticated."""

    name: str
    vendor: UUID
    contents: bytes
    attributes: int = NON_VOLATILE | BOOT_SERVICES | RUNTIME
    time: bytes = bytes(16)


def variables(store: bytes) -> Iterator[StoredVariable]:
    """The variables that are valid, in their order. Raises ImageError for what is not such a store."""
    for state, variable, _ in _rows(store):
        if state == _ADDED:
            yield variable


def add(store: bytes, added: Sequence[StoredVariable]) -> bytes:
    """``store`` with more variables. Raises ImageError if it has one of them already, or no space left."""
    start, end = _bounds(store)
    rows = list(_rows(store))
    present = {(variable.name, variable.vendor) for state, variable, _ in rows if state == _ADDED}
    for variable in added:
        if (variable.name, variable.vendor) in present:
            raise ImageError(f"The firmware's variable store has a variable {variable.name} already.")
    at = rows[-1][2] if rows else start
    new = b"".join(_row(variable) for variable in added)
    if at + len(new) > end:
        raise ImageError(f"The firmware's variable store has {end - at} bytes left, and {len(new)} are needed.")
    return store[:at] + new + store[at + len(new) :]


def _bounds(store: bytes) -> tuple[int, int]:
    """Offsets of the first variable and of the end of the store."""
    try:
        (header_size,) = struct.unpack_from("<H", store, _VOLUME_HEADER_SIZE_OFFSET)
        kind, size, *_ = _STORE_HEADER.unpack_from(store, header_size)
    except struct.error as error:
        raise ImageError("The firmware's variable store is too short.") from error
    if store[_VOLUME_SIGNATURE_OFFSET:][:4] != _VOLUME_SIGNATURE or kind != _AUTHENTICATED.bytes_le:
        raise ImageError("The file is not a firmware volume with a store of authenticated variables.")
    return header_size + _STORE_HEADER.size, header_size + size


def _rows(store: bytes) -> Iterator[tuple[int, StoredVariable, int]]:
    """The state of each variable, the variable, and the offset after it."""
    at, end = _bounds(store)
    while at + _VARIABLE.size <= end and store[at : at + 2] == _START.to_bytes(2, "little"):
        _, state, _, attributes, _, time, _, name_size, size, vendor = _VARIABLE.unpack_from(store, at)
        start = at + _VARIABLE.size
        name = store[start : start + name_size].decode("utf-16-le", "replace").rstrip("\0")
        contents = store[start + name_size : start + name_size + size]
        at = start + _aligned(name_size + size)
        yield state, StoredVariable(name, UUID(bytes_le=vendor), contents, attributes, time), at


def _row(variable: StoredVariable) -> bytes:
    name = variable.name.encode("utf-16-le") + b"\0\0"
    header = _VARIABLE.pack(
        _START,
        _ADDED,
        0,
        variable.attributes,
        0,
        variable.time,
        0,
        len(name),
        len(variable.contents),
        variable.vendor.bytes_le,
    )
    row = header + name + variable.contents
    return row + b"\xff" * (_aligned(len(row)) - len(row))


def _aligned(size: int) -> int:
    return -(-size // 4) * 4
