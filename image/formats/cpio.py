"""Write "newc" cpio archives, which the kernel unpacks as its initial RAM file system.

Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass

TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class CpioEntry:
    """A file, directory, symbolic link or device node; ``mode`` includes the bits of the file type."""

    path: str
    mode: int
    contents: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str, mode: int = 0o755) -> CpioEntry:
    return CpioEntry(path, stat.S_IFDIR | mode)


def regular(path: str, contents: bytes, mode: int = 0o644) -> CpioEntry:
    return CpioEntry(path, stat.S_IFREG | mode, contents)


def link(path: str, target: str) -> CpioEntry:
    return CpioEntry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int, mode: int = 0o600) -> CpioEntry:
    return CpioEntry(path, stat.S_IFCHR | mode, b"", (major, minor))


def archive(entries: Iterable[CpioEntry]) -> bytes:
    """The archive, with owner root, time 0 and ascending inode numbers: equal entries give equal bytes."""
    parts: list[bytes] = []
    for inode, entry in enumerate(entries, start=1):
        parts.append(record(inode, entry))
    parts.append(record(0, CpioEntry(TRAILER, 0)))
    return b"".join(parts)


def record(inode: int, entry: CpioEntry) -> bytes:
    """Header, name and contents, each padded to 4 bytes."""
    name = entry.path.encode() + b"\0"
    links, time, check = 1, 0, 0
    fields = (
        inode,
        entry.mode,
        0,
        0,
        links,
        time,
        len(entry.contents),
        0,
        0,
        *entry.device,
        len(name),
        check,
    )
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return pad(header) + pad(entry.contents)


def pad(data: bytes) -> bytes:
    """``data`` padded with zeros to a multiple of 4 bytes."""
    return data + bytes(-len(data) % 4)
