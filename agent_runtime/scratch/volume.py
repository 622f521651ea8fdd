"""A volume on a block device: regions that are written once and in order, then one file system over all of them.

Layout in blocks of 4096 bytes: the files' data and then the metadata of an EROFS file system, from block 0 on; at the
end of the device the lowest level of the hash tree, and right before it the other levels.
"""

import errno
import json
import mmap
import os
from dataclasses import asdict, dataclass
from typing import Any, Self

from agent_runtime.scratch import erofs
from agent_runtime.scratch.hashtree import GrowingTree, digests_of
from cloister.protocol.volume import BLOCK, GROUP, PER_BLOCK, PREFETCH, groups_of, volume_size

_TREE_BUFFER = 64 * BLOCK


@dataclass(frozen=True)
class Layout:
    """Where things are on a device of ``blocks`` blocks."""

    blocks: int
    groups: int
    """Groups of 128 blocks for data and metadata."""

    @classmethod
    def of(cls, size: int) -> Self:
        """For a device of ``size`` bytes. Raises ValueError when it is too small for anything."""
        blocks = size // BLOCK
        groups = (blocks - PREFETCH) // (PER_BLOCK + 1)
        while groups > 0 and (over := volume_size(groups) // BLOCK - blocks) > 0:
            groups -= max(1, over // (PER_BLOCK + 1))
        if groups < 2:
            raise ValueError(f"A volume cannot have {size} bytes.")
        return cls(blocks, groups)

    @property
    def lowest(self) -> int:
        """The first block of the lowest level."""
        return self.blocks - self.groups


@dataclass(frozen=True)
class Seal:
    """What dm-verity needs to know of a finished volume. The root's digest holds all of it."""

    root: str
    """SHA-256 in hex."""

    blocks: int
    """Blocks of data and metadata."""

    tree: int
    """First block of the tree."""

    def encode(self) -> bytes:
        """A line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From a JSON value, strictly. Raises ValueError."""
        if not isinstance(value, dict) or set(value) != set(cls.__dataclass_fields__):
            raise ValueError("A seal has missing or unknown members.")
        root, numbers = value["root"], (value["blocks"], value["tree"])
        if not isinstance(root, str) or len(root) != 64 or root.strip("0123456789abcdef"):
            raise ValueError("A seal has an invalid root.")
        if not all(type(number) is int and 0 < number < 1 << 32 for number in numbers):
            raise ValueError("A seal has an invalid number.")
        return cls(root, *numbers)


class Volume:
    """A volume while it is written, through the descriptor ``device``, which may be opened with O_DIRECT.

    Regions may be written at the same time, each by one thread.
    """

    def __init__(self, device: int, size: int) -> None:
        self.layout = Layout.of(size)
        self._device = device
        self._tree = GrowingTree(self.layout.groups)

    def region(self, group: int) -> "Region":
        """A region that begins at a group. Group 0 is the file system's own."""
        return Region(self, group)

    def seal(self, root: erofs.DirectoryEntry, groups: int, *, owner: int, seconds: int, shared: bool = False) -> Seal:
        """Finish the volume, whose regions end before ``groups``; the rest is as for :func:`erofs.encode`.

        Raises OSError, also when there is no room.
        """
        system = erofs.encode(root, first=groups * PER_BLOCK, owner=owner, seconds=seconds, shared=shared)
        last = self.region(groups)
        last.write_all(system.metadata)
        last.finish()
        first = self.region(0)
        first.write_all(system.superblock)
        first.finish()
        total = groups + groups_of(len(system.metadata))
        upper = self._tree.finish(total)
        tree = self.layout.lowest - len(upper.contents) // BLOCK
        # dm-verity reads ahead: before the tree are zeros, not blocks that were never written.
        self._write_aligned(bytes(PREFETCH * BLOCK) + upper.contents, tree - PREFETCH)
        self.flush()
        return Seal(upper.root.hex(), total * PER_BLOCK, tree)

    def _write_aligned(self, data: bytes, block: int) -> None:
        with mmap.mmap(-1, len(data)) as buffer:
            buffer[:] = data
            with memoryview(buffer) as view:
                self.put(view, block)

    def add(self, group: int, digests: bytes) -> None:
        """Take the digests of a group that was written."""
        self._tree.add(group, digests)

    def flush(self) -> None:
        """Wait until everything is on the disk. Raises OSError."""
        os.fsync(self._device)

    def put(self, data: memoryview, block: int) -> None:
        """Write whole blocks from page-aligned memory. Raises OSError."""
        offset = block * BLOCK
        while data:
            written = os.pwrite(self._device, data, offset)
            offset += written
            data = data[written:]


class Region:
    """Bytes in order, from the beginning of a group on. It has the methods of a raw binary file that uploads use."""

    def __init__(self, volume: Volume, group: int) -> None:
        self._volume = volume
        self._first = group
        self._group = group
        self._data = mmap.mmap(-1, GROUP)
        self._filled = 0
        self._digests = mmap.mmap(-1, _TREE_BUFFER)
        self._digested = 0
        self.closed = False

    @property
    def block(self) -> int:
        """The block at which the next byte will be, if it is at the beginning of one."""
        return self._group * PER_BLOCK + self._filled // BLOCK

    @property
    def size(self) -> int:
        """Bytes that were taken."""
        return (self._group - self._first) * GROUP + self._filled

    def seek(self, position: int) -> int:
        """Go back to ``position``, which is the current one: a write that fails takes nothing. Raises ValueError."""
        if position != self.size:
            raise ValueError("A region is written in order.")
        return position

    def write(self, data: bytes | memoryview) -> int:
        """Take some bytes of ``data``; returns how many. Raises OSError, and has then taken none."""
        view = memoryview(data)[: GROUP - self._filled]
        end = self._filled + len(view)
        self._data[self._filled : end] = view
        if end == GROUP:
            self._put()
        else:
            self._filled = end
        return len(view)

    def write_all(self, data: bytes | memoryview) -> None:
        """Take all bytes of ``data``. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[self.write(view) :]

    def align(self) -> None:
        """Go on at the beginning of a block. Raises OSError."""
        self.write_all(bytes(-self._filled % BLOCK))

    def finish(self) -> None:
        """Write what is left, with zeros up to the end of the group. Raises OSError."""
        if self._filled:
            self._data[self._filled :] = bytes(GROUP - self._filled)
            self._put()
        self._put_digests()
        self._volume.flush()
        self.close()

    def close(self) -> None:
        """Let go of the buffers, whose content is lost."""
        if not self.closed:
            self.closed = True
            self._data.close()
            self._digests.close()

    def _put(self) -> None:
        """Write the buffer, and begin the next group."""
        if self._group >= self._volume.layout.groups:
            raise OSError(errno.ENOSPC, "no room is left on the scratch disk")
        with memoryview(self._data) as view:
            self._volume.put(view, self._group * PER_BLOCK)
            digests = digests_of(view)
        if self._digested == _TREE_BUFFER:
            self._put_digests()
        self._digests[self._digested : self._digested + BLOCK] = digests
        self._digested += BLOCK
        self._volume.add(self._group, digests)
        self._group += 1
        self._filled = 0

    def _put_digests(self) -> None:
        if self._digested:
            first = self._volume.layout.lowest + self._group - self._digested // BLOCK
            with memoryview(self._digests) as whole, whole[: self._digested] as view:
                self._volume.put(view, first)
            self._digested = 0
