"""A dm-verity hash tree that grows while a volume is written, so that nothing is read back from the disk.

Linux, Documentation/admin-guide/device-mapper/verity.rst; drivers/md/dm-verity-target.c (verity_ctr) for the order of
the levels: the root's first, that of the data last. Version 1, SHA-256, blocks of 4096 bytes, no salt.

A *group* is the data whose digests fill one block of the lowest level: 128 blocks, 512 KiB. Groups may come in any
order. Memory: 32 bytes a group, that is 64 MiB for 1 TiB.
"""

import hashlib
from dataclasses import dataclass

from cloister.protocol.volume import BLOCK, GROUP

_DIGEST = 32


def digests_of(data: memoryview) -> bytes:
    """The block of the lowest level for a group: the digests of its blocks."""
    return b"".join(hashlib.sha256(data[start : start + BLOCK]).digest() for start in range(0, GROUP, BLOCK))


@dataclass(frozen=True)
class UpperLevels:
    """The levels above the lowest, the root's first, and the digest of the root's block."""

    contents: bytes
    root: bytes


class GrowingTree:
    """The tree over at most ``groups`` groups."""

    def __init__(self, groups: int) -> None:
        self._digests = bytearray(groups * _DIGEST)

    def add(self, group: int, digests: bytes) -> None:
        """Set a group's block of the lowest level, as :func:`digests_of` returns it."""
        self._digests[group * _DIGEST : (group + 1) * _DIGEST] = hashlib.sha256(digests).digest()

    def finish(self, groups: int) -> UpperLevels:
        """The rest of the tree over the first ``groups`` groups. What was never added has no valid data."""
        level = bytes(self._digests[: groups * _DIGEST])
        levels: list[bytes] = []
        while len(level) > _DIGEST:
            level += bytes(-len(level) % BLOCK)
            levels.append(level)
            view = memoryview(level)
            blocks = range(0, len(level), BLOCK)
            level = b"".join(hashlib.sha256(view[start : start + BLOCK]).digest() for start in blocks)
        return UpperLevels(b"".join(reversed(levels)), level)
