"""The image's disk as a host can change it: its partitions, and their table."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from image.formats import disk, gpt
from image.formats.gpt import Partition
from tests.e2e.hostile.esp import Esp

ESP, ROOT, VERITY = range(3)
"""The partitions, in their order."""

# UEFI Specification 2.10, table 5-6: type GUID, unique GUID, first and last LBA, attributes, name.
_ROW = struct.Struct("<16s16sQQQ72s")
_IDENTIFIER_OFFSET = gpt.SECTOR_SIZE + 56


@dataclass(frozen=True)
class HostileDisk:
    """The partitions of a disk and its identifier; ``contents`` writes them with a table that is valid."""

    partitions: tuple[Partition, ...]
    identifier: UUID

    @classmethod
    def of(cls, raw: bytes) -> "HostileDisk":
        found = []
        for number in range(128):
            kind, own, first, last, _, name = _ROW.unpack_from(raw, 2 * gpt.SECTOR_SIZE + number * _ROW.size)
            if any(kind):
                part = raw[first * gpt.SECTOR_SIZE : (last + 1) * gpt.SECTOR_SIZE]
                label = name.decode("utf-16-le").rstrip("\0")
                found.append(Partition(label, UUID(bytes_le=kind), UUID(bytes_le=own), part))
        return cls(tuple(found), UUID(bytes_le=raw[_IDENTIFIER_OFFSET : _IDENTIFIER_OFFSET + 16]))

    def contents(self) -> bytes:
        return gpt.disk(self.partitions, self.identifier)

    def change(self, number: int, change: Callable[[bytes], bytes]) -> "HostileDisk":
        """With the contents of one partition changed."""
        parts = list(self.partitions)
        parts[number] = replace(parts[number], contents=change(parts[number].contents))
        return replace(self, partitions=tuple(parts))

    def with_partition(self, partition: Partition, at: int) -> "HostileDisk":
        """With one more partition, before that of this number."""
        parts = [*self.partitions[:at], partition, *self.partitions[at:]]
        return replace(self, partitions=tuple(parts))

    def with_files(self, files: dict[str, bytes]) -> "HostileDisk":
        """With files added to the EFI system partition; the UKI is in the file ``disk.BOOT_FILE``."""

        def add(volume: bytes) -> bytes:
            esp = Esp(bytearray(volume))
            for path, contents in files.items():
                esp.add(path, contents)
            return bytes(esp.volume)

        return self.change(ESP, add)


def esp(uki: bytes) -> Partition:
    """A second EFI system partition with a kernel image of the host's."""
    (own, *_) = HostileDisk.of(disk.build(uki, bytes(4096), bytes(4096), bytes(32))).partitions
    return replace(own, name="esp2", identifier=UUID("11111111-2222-4333-8444-555555555555"))


def flipped(before: bytes, after: bytes) -> Callable[[bytes], bytes]:
    """Replaces the only occurrence of ``before`` by ``after``, which differs in one bit."""

    def change(contents: bytes) -> bytes:
        different = int.from_bytes(before) ^ int.from_bytes(after)
        if contents.count(before) != 1 or different.bit_count() != 1:
            raise ValueError(f"{before!r} stands {contents.count(before)} times; {different.bit_count()} bits differ.")
        return contents.replace(before, after)

    return change


def flipped_at(*places: int) -> Callable[[bytes], bytes]:
    """Flips the lowest bit of the bytes at these offsets."""

    def change(contents: bytes) -> bytes:
        changed = bytearray(contents)
        for place in places:
            changed[place] ^= 1
        return bytes(changed)

    return change
