"""Compute the dm-verity hash tree of a file system, and the table with which a CVM opens it.

Linux, Documentation/admin-guide/device-mapper/verity.rst; the superblock is cryptsetup's
(wiki "DMVerity", "On-disk format"), version 1, hash type 1 (salt first), SHA-256, blocks of 4096 bytes.
"""

import hashlib
import struct
from dataclasses import dataclass
from uuid import UUID

from image.errors import ImageError

BLOCK_SIZE = 4096
DIGEST_SIZE = 32
SALT_SIZE = 32
_SECTOR_SIZE = 512

# magic, version, hash type, UUID, algorithm, data block size, hash block size, data blocks, salt size, 6 reserved,
# salt, 168 reserved.
_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6x256s168x")


@dataclass(frozen=True)
class HashTree:
    """The contents of the hash device (superblock first), the root hash, the salt and the number of data blocks."""

    contents: bytes
    root_hash: bytes
    salt: bytes
    data_blocks: int

    def table(self, data_device: str, hash_device: str) -> str:
        """The line for dmsetup. A corrupted block panics the kernel instead of causing an I/O error."""
        return (
            f"0 {self.data_blocks * BLOCK_SIZE // _SECTOR_SIZE} verity 1 {data_device} {hash_device} {BLOCK_SIZE} "
            f"{BLOCK_SIZE} {self.data_blocks} 1 sha256 {self.root_hash.hex()} {self.salt.hex()} 1 panic_on_corruption"
        )


def hash_tree(data: bytes, *, salt: bytes, identifier: UUID) -> HashTree:
    """Hash ``data``, whose size is a multiple of 4096 bytes. The root's level is stored first. Raises ImageError."""
    if len(data) % BLOCK_SIZE or not data or len(salt) != SALT_SIZE:
        raise ImageError(f"A hash tree needs whole blocks of {BLOCK_SIZE} bytes and a salt of {SALT_SIZE} bytes.")
    data_blocks = len(data) // BLOCK_SIZE
    seeded = hashlib.sha256(salt)
    levels: list[bytes] = []
    level = data
    while len(level) > BLOCK_SIZE or not levels:
        level = _hash_blocks(level, seeded)
        levels.append(level)
    superblock = _SUPERBLOCK.pack(
        b"verity\0\0", 1, 1, identifier.bytes, b"sha256", BLOCK_SIZE, BLOCK_SIZE, data_blocks, len(salt), salt
    )
    root = seeded.copy()
    root.update(levels[-1])
    contents = superblock + bytes(BLOCK_SIZE - len(superblock)) + b"".join(reversed(levels))
    return HashTree(contents, root.digest(), salt, data_blocks)


def root_hash(tree: bytes) -> bytes:
    """The root hash of a hash device that ``hash_tree`` wrote. Raises ImageError."""
    try:
        magic, *_, size, salt = _SUPERBLOCK.unpack_from(tree)
    except struct.error as error:
        raise ImageError("The hash tree has no superblock.") from error
    if magic != b"verity\0\0" or size != SALT_SIZE or len(tree) < 2 * BLOCK_SIZE:
        raise ImageError("The hash tree is not one of Cloister's.")
    return hashlib.sha256(salt[:size] + tree[BLOCK_SIZE : 2 * BLOCK_SIZE]).digest()


def _hash_blocks(level: bytes, seeded: "hashlib._Hash") -> bytes:
    digests = bytearray()
    view = memoryview(level)
    for start in range(0, len(level), BLOCK_SIZE):
        block = seeded.copy()
        block.update(view[start : start + BLOCK_SIZE])
        digests += block.digest()
    return bytes(digests) + bytes(-len(digests) % BLOCK_SIZE)
