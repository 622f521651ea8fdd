"""Device-mapper through /dev/mapper/control. Part of the runner, which is root. Standard library only.

Linux, include/uapi/linux/dm-ioctl.h, and Documentation/admin-guide/device-mapper/ for the targets' parameters.
"""

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
_CONTROL = Path("/dev/mapper/control")
# _IOWR(DM_IOCTL, command, struct dm_ioctl)
_CREATE, _REMOVE, _SUSPEND, _LOAD, _STATUS = (0xC138FD00 | command for command in (3, 4, 6, 9, 12))
# struct dm_ioctl: version, data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name, uuid,
# 7 bytes that are not used.
_HEADER = struct.Struct("<3IIIIiIIIQ128s129s7x")
# struct dm_target_spec: sector_start, length, status, next, target_type
_TARGET = struct.Struct("<QQiI16s")
_READ_ONLY, _SKIP_LOCKFS, _NOFLUSH, _SECURE_DATA = 1 << 0, 1 << 10, 1 << 11, 1 << 15
_ANSWER = 16 * 1024


@dataclass(frozen=True)
class MapTarget:
    """One line of a table: the whole device."""

    sectors: int
    kind: str
    parameters: str


@dataclass(frozen=True)
class Mapped:
    """A mapped device."""

    name: str
    number: int
    """Its minor number."""

    sectors: int

    @property
    def path(self) -> Path:
        """Its node, which devtmpfs makes."""
        return Path(f"/dev/dm-{self.number}")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.sectors * SECTOR


def create(name: str, target: MapTarget, *, read_only: bool = False, secret: bool = False) -> Mapped:
    """Create a device. ``secret``: the kernel wipes its copy of the table. Raises OSError."""
    number = os.minor(_HEADER.unpack_from(_control(_CREATE, name))[10])
    try:
        _load(name, target, flags=(_READ_ONLY if read_only else 0) | (_SECURE_DATA if secret else 0))
        _control(_SUSPEND, name, flags=_READ_ONLY if read_only else 0)
    except OSError:
        remove(name)
        raise
    return Mapped(name, number, target.sectors)


def remove(name: str) -> None:
    """Remove a device. Raises OSError while it is used."""
    _control(_REMOVE, name)


def lose(device: Mapped) -> None:
    """Let go of what a device is made of, although it is used: from now on it returns errors only. Raises OSError."""
    _load(device.name, MapTarget(device.sectors, "error", ""))
    # Nothing is written before: what is in caches is lost as well.
    _control(_SUSPEND, device.name, flags=_SKIP_LOCKFS | _NOFLUSH)


def status(name: str) -> str:
    """The status line of a device's target. Raises OSError."""
    answer = _control(_STATUS, name, bytes(_ANSWER))
    start = _HEADER.unpack_from(answer)[4] + _TARGET.size
    return answer[start : answer.index(b"\0", start)].decode("ascii", "replace")


def linear(device: Mapped, start: int, size: int) -> MapTarget:
    """A part of a device (dm-linear); ``start`` and ``size`` in bytes."""
    return MapTarget(size // SECTOR, "linear", f"{device.path} {start // SECTOR}")


def _load(name: str, target: MapTarget, *, flags: int = 0) -> None:
    parameters = target.parameters.encode() + b"\0"
    size = _TARGET.size + len(parameters) + -len(parameters) % 8
    table = _TARGET.pack(0, target.sectors, 0, size, target.kind.encode()) + parameters
    _control(_LOAD, name, table.ljust(size, b"\0"), flags=flags, targets=1)


def _control(command: int, name: str, data: bytes = b"", *, flags: int = 0, targets: int = 0) -> bytes:
    size = _HEADER.size + len(data)
    header = _HEADER.pack(4, 0, 0, size, _HEADER.size, targets, 0, flags, 0, 0, 0, name.encode(), b"")
    buffer = (ctypes.c_char * size).from_buffer_copy(header + data)
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(control, command, buffer)
    finally:
        os.close(control)
    return bytes(buffer)
