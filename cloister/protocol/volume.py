"""The sizes of a volume on the scratch disk, which both ends compute. Standard library only.

Blocks have 4096 bytes. A *group* is the data whose digests (SHA-256) fill one block: 128 blocks, 512 KiB.
"""

BLOCK = 4096
PER_BLOCK = BLOCK // 32
GROUP = PER_BLOCK * BLOCK
"""Bytes of a group."""

PREFETCH = 64
"""Blocks of the tree that dm-verity may read before those it needs (DM_VERITY_DEFAULT_PREFETCH_SIZE, 256 KiB)."""

INODE, ENTRY, NAME = 64, 12, 255
"""Bytes of an inode, of an entry of a folder without its name, and of the longest name."""


def groups_of(size: int) -> int:
    """The groups that ``size`` bytes take."""
    return -(-size // GROUP)


def upper_blocks(groups: int) -> int:
    """The blocks of all levels of the hash tree above the lowest."""
    total = 0
    while groups > 1:
        groups = -(-groups // PER_BLOCK)
        total += groups
    return total


def volume_size(groups: int) -> int:
    """The bytes of a device that has room for ``groups`` groups, its hash tree included."""
    return (groups * (PER_BLOCK + 1) + upper_blocks(groups) + PREFETCH) * BLOCK


def tree_memory(size: int) -> int:
    """The bytes of memory that who writes a volume of ``size`` bytes needs for its tree."""
    return groups_of(size) * 32


def most_blocks(entries: int, names: int) -> int:
    """The most blocks, besides full ones of files, for ``entries`` files and folders with ``names`` bytes of names.

    Each of them leaves at most one block partly empty: a file its last one, a folder that of its listing. The other
    blocks of a listing are full but for less than one entry with its name.
    """
    listed = 3 * entries * ENTRY + 3 * entries + names
    return 2 + entries + (entries + 1) * INODE // BLOCK + listed // (BLOCK - ENTRY - NAME)
