"""Writes the metadata of an EROFS file system whose files' data is already on the volume.

Linux, fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst. Blocks of 4096 bytes, 64-byte inodes, data not
compressed (layout "flat plain"). Directories are in the metadata.
"""

import stat
import struct
from dataclasses import dataclass, field

from cloister.protocol.volume import BLOCK

_SUPER_OFFSET = 1024
_MAGIC = 0xE0F5E1E2
_BLOCK_BITS = 12
_HAS_CHECKSUM = 1
"""Bit of ``feature_compat``: EROFS_FEATURE_COMPAT_SB_CHKSUM."""

# struct erofs_super_block: magic, checksum, feature_compat, blkszbits, sb_extslots, root_nid, inos, build_time,
# build_time_nsec, blocks, meta_blkaddr, xattr_blkaddr, uuid, volume_name, feature_incompat, 44 bytes that are not used.
_SUPER = struct.Struct("<IIIBBHQQIIII16s16sI44x")
# struct erofs_inode_extended: i_format, i_xattr_icount, i_mode, 2 reserved, i_size, raw_blkaddr, i_ino, i_uid, i_gid,
# i_mtime, i_mtime_nsec, i_nlink, 16 reserved.
_INODE = struct.Struct("<HHH2xQIIIIQII16x")
_EXTENDED_PLAIN = 1
# struct erofs_dirent: nid, nameoff, file_type, 1 reserved.
_ENTRY = struct.Struct("<QHBx")
_SLOT = 32
"""Bytes of the unit in which inodes are numbered."""

_ROOT = _INODE.size // _SLOT
"""The number of the root's inode."""

_REGULAR, _FOLDER, _PIPE, _LINK = 1, 2, 5, 7
_NO_BLOCK = 0xFFFFFFFF
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class DataExtent:
    """Where a file's data is: its first block on the volume, and its bytes."""

    block: int
    size: int


@dataclass(frozen=True)
class Attributes:
    """What an entry has of its own: mode, user and group, and the time of last change in nanoseconds."""

    mode: int
    user: int
    group: int
    modified: int


@dataclass(frozen=True)
class FileEntry:
    """A regular file. One that is in several places has several names: a hard link."""

    extent: DataExtent
    executable: bool
    attributes: Attributes | None = None


@dataclass(frozen=True)
class LinkEntry:
    """A symbolic link; its target is its data."""

    extent: DataExtent
    attributes: Attributes


@dataclass(frozen=True)
class PipeEntry:
    """A named pipe."""

    attributes: Attributes
    extent: DataExtent = DataExtent(0, 0)


@dataclass
class DirectoryEntry:
    """A folder with its entries by name."""

    entries: "dict[bytes, Entry]" = field(default_factory=dict)
    attributes: Attributes | None = None


Entry = DirectoryEntry | FileEntry | LinkEntry | PipeEntry
_TYPES: dict[type[Entry], tuple[int, int]] = {
    FileEntry: (_REGULAR, stat.S_IFREG),
    DirectoryEntry: (_FOLDER, stat.S_IFDIR),
    PipeEntry: (_PIPE, stat.S_IFIFO),
    LinkEntry: (_LINK, stat.S_IFLNK),
}


@dataclass(frozen=True)
class FileSystem:
    """The blocks of a finished file system besides the files' data."""

    superblock: bytes
    """Block 0."""

    metadata: bytes
    """Whole blocks from ``first`` on."""


def encoded(name: str) -> bytes:
    """A name's bytes. Those that are not UTF-8 are as Python decodes them (PEP 383)."""
    return name.encode("utf-8", "surrogateescape")


def encode(root: DirectoryEntry, *, first: int, owner: int, seconds: int, shared: bool = False) -> FileSystem:
    """The file system of ``root``, with its metadata from block ``first`` on.

    ``owner`` is user and group of what has no attributes of its own, ``seconds`` its time of last change. ``shared``:
    every user may write to that, in a layer above this file system.
    """
    found, links = _walk(root)
    masked = 0 if shared else 0o022
    # The first place stays empty: programs take an entry with the number 0 for a deleted one.
    inodes = -(-(len(found) + 1) * _INODE.size // BLOCK)
    numbers = {id(item): index * _INODE.size // _SLOT for index, (item, _) in enumerate(found, 1)}
    table, listings = bytearray(_INODE.size), bytearray()
    for number, (item, parent) in enumerate(found):
        if isinstance(item, DirectoryEntry):
            listing = _listing(item, parent, numbers)
            block, size = first + inodes + len(listings) // BLOCK, len(listing)
            listings += listing + bytes(-len(listing) % BLOCK)
            executable, names = True, 2 + sum(isinstance(one, DirectoryEntry) for one in item.entries.values())
        else:
            block, size = item.extent.block if item.extent.size else _NO_BLOCK, item.extent.size
            executable, names = isinstance(item, FileEntry) and item.executable, links[id(item)]
            block = 0 if isinstance(item, PipeEntry) else block
        own = item.attributes
        if own is None:
            own = Attributes((0o777 if executable else 0o666) & ~masked, owner, owner, seconds * _SECOND)
        mode, (whole, part) = _TYPES[type(item)][1] | own.mode, divmod(own.modified, _SECOND)
        table += _INODE.pack(
            *(_EXTENDED_PLAIN, 0, mode, size, block, number + 1),
            *(own.user, own.group, whole & 0xFFFFFFFFFFFFFFFF, part, names),
        )
    metadata = bytes(table) + bytes(inodes * BLOCK - len(table)) + bytes(listings)
    blocks = first + len(metadata) // BLOCK
    return FileSystem(_superblock(len(found), blocks, first, seconds), metadata)


def _walk(root: DirectoryEntry) -> tuple[list[tuple[Entry, DirectoryEntry]], dict[int, int]]:
    """Everything once, with a folder around it, the root first; and how many names each entry has, by its id."""
    found: list[tuple[Entry, DirectoryEntry]] = [(root, root)]
    links: dict[int, int] = {}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        for _, item in sorted(folder.entries.items()):
            links[id(item)] = links.get(id(item), 0) + 1
            if links[id(item)] > 1:
                continue
            found.append((item, folder))
            if isinstance(item, DirectoryEntry):
                waiting.append(item)
    return found, links


def _listing(folder: DirectoryEntry, parent: DirectoryEntry, numbers: dict[int, int]) -> bytes:
    """A folder's data: in each block the entries, then their names; all in the order of the names' bytes."""
    entries = {b".": (numbers[id(folder)], _FOLDER), b"..": (numbers[id(parent)], _FOLDER)}
    for name, item in folder.entries.items():
        entries[name] = (numbers[id(item)], _TYPES[type(item)][0])
    made = bytearray()
    waiting: list[bytes] = []
    size = 0
    for name in sorted(entries):
        if size + _ENTRY.size + len(name) > BLOCK:
            made += _listing_block(waiting, entries)
            made += bytes(-len(made) % BLOCK)
            waiting, size = [], 0
        waiting.append(name)
        size += _ENTRY.size + len(name)
    return bytes(made + _listing_block(waiting, entries))


def _listing_block(names: list[bytes], entries: dict[bytes, tuple[int, int]]) -> bytes:
    at = len(names) * _ENTRY.size
    made = bytearray()
    for name in names:
        made += _ENTRY.pack(entries[name][0], at, entries[name][1])
        at += len(name)
    return bytes(made) + b"".join(names)


def _superblock(inodes: int, blocks: int, first: int, seconds: int) -> bytes:
    def packed(checksum: int) -> bytes:
        values = (_MAGIC, checksum, _HAS_CHECKSUM, _BLOCK_BITS, 0, _ROOT, inodes, seconds, 0, blocks, first, 0)
        made = _SUPER.pack(*values, bytes(16), b"cloister", 0)
        return made + bytes(BLOCK - _SUPER_OFFSET - len(made))

    # CRC-32C of the block from the superblock on, with a checksum of zero (erofs_superblock_csum_verify).
    return bytes(_SUPER_OFFSET) + packed(_crc32c(packed(0)))


def _crc32c(data: bytes) -> int:
    """CRC-32C without the final inversion, as the kernel's ``crc32c(~0, data)``."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value
