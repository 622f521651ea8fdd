"""What a manifest needs of a CVM's scratch disk, and what goes there: the same on a party's machine and in the CVM.

Three parts of the disk, one after the other: the assets as uploaded, what is unpacked from them, and what the algorithm
writes (``limits.scratch``). The first two are volumes (``agent_runtime.scratch.volume``): written once, under a hash
tree. Standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cloister.protocol.archives import limits
from cloister.protocol.containers import limits as containers
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.volume import BLOCK, NAME, groups_of, most_blocks, volume_size
from cloister.protocol.wheels import installation

SMALL = 1024 * 1024
"""Bytes. Assets up to this size stay in memory, and what is unpacked from an archive with no more in it."""

LEAST = 1 << 30
"""Bytes of the smallest scratch disk."""

MOST = 16 << 40
"""Bytes of the largest one: a file system on it numbers its blocks with 32 bits."""

_BUNDLE_GROWTH = 8
"""A bundle's wheels have at most this many times its bytes when they are installed; PyTorch's have 3 times."""

_FOLDERS = 8
"""At least as many as are at the top of a volume."""

_FILE_SYSTEM = 32 << 20
"""Bytes that the file system for what the algorithm writes takes for itself, besides a thirty-second of all."""


@dataclass(frozen=True)
class ScratchNeed:
    """Bytes of each part of the disk, and the assets in the first."""

    assets: tuple[Asset, ...]
    """Those that are not small, in the manifest's order."""

    unpacked: tuple[Asset, ...]
    """The datasets that are unpacked to the disk."""

    wheels: bool
    """Whether the bundle is installed to the disk."""

    image: int
    """Bytes of the container image that is unpacked to the disk, 0 if it is not."""

    uploaded_size: int
    unpacked_size: int
    written_size: int

    @property
    def total(self) -> int:
        """Bytes of the whole disk that must be there."""
        return self.uploaded_size + self.unpacked_size + self.written_size

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """What ``manifest`` needs on a machine that has a scratch disk."""
        assets = tuple(asset for asset in manifest.assets() if asset.size > SMALL)
        unpacked = tuple(data for data in manifest.datasets if data.unpack and data.unpacked_size > SMALL)
        bundle = manifest.algorithm.bundle
        wheels = bundle is not None and bundle.size > SMALL
        container = manifest.algorithm.container
        image = container.unpacked_size if container is not None and container.unpacked_size > SMALL else 0
        growth = _BUNDLE_GROWTH * bundle.size if bundle is not None and wheels else 0
        return cls(
            assets=assets,
            unpacked=unpacked,
            wheels=wheels,
            image=image,
            uploaded_size=_uploaded(assets),
            unpacked_size=_unpacked(unpacked, growth, image),
            written_size=_written(manifest.limits.scratch),
        )


def first_groups(assets: Sequence[Asset]) -> dict[str, int]:
    """The group with which each asset begins, by name. Group 0 is the file system's own."""
    found, next_group = {}, 1
    for asset in assets:
        found[asset.name] = next_group
        next_group += groups_of(asset.size)
    return found


def end_group(assets: Sequence[Asset]) -> int:
    """The group after the last one of these assets."""
    return 1 + sum(groups_of(asset.size) for asset in assets)


def _uploaded(assets: Sequence[Asset]) -> int:
    if not assets:
        return 0
    names = sum(len(asset.file.encode()) + len(asset.name) for asset in assets)
    return volume_size(end_group(assets) + groups_of(most_blocks(len(assets) + _FOLDERS, names) * BLOCK))


def _unpacked(datasets: Sequence[Asset], wheels: int, image: int) -> int:
    """With the most entries that an archive may have: the manifest does not say how many there are."""
    trees = len(datasets) + (wheels > 0)
    if not trees and not image:
        return 0
    inside = containers.most_entries(image)
    entries = len(datasets) * (limits.MAX_ENTRIES + 1) + (installation.MAX_INODES if wheels else 0) + inside + _FOLDERS
    names = trees * limits.MAX_PATHS + min(inside * NAME, containers.MAX_PATHS)
    content = sum(data.unpacked_size for data in datasets) + wheels + image + (containers.MAX_PROCESS if image else 0)
    return volume_size(2 + groups_of(content) + groups_of(most_blocks(entries, names) * BLOCK))


def _written(size: int) -> int:
    if not size:
        return 0
    return (size + size // 32 + _FILE_SYSTEM) // BLOCK * BLOCK
