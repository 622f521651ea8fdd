"""The uploaded assets that are on the scratch disk, each in a region of one volume, until the run seals it."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.errors import AgentError
from agent_runtime.runner.client import RunnerClient
from agent_runtime.runner.oci_config import MACHINE
from agent_runtime.runner.protocol import ScratchJob
from agent_runtime.scratch.erofs import DataExtent, DirectoryEntry, FileEntry
from agent_runtime.scratch.volume import Region, Seal, Volume
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.scratch import ScratchNeed, end_group, first_groups
from cloister.protocol.volume import PER_BLOCK

_FLAGS = os.O_RDWR | os.O_DIRECT
"""Past the cache: an error of the disk is that of the write."""


def scratch_job(need: ScratchNeed, seal: Seal | None) -> ScratchJob:
    """What the runner does with the scratch disk."""
    return ScratchJob(
        uploaded=need.uploaded_size,
        seal=seal,
        unpacked=need.unpacked_size,
        datasets=tuple(data.name for data in need.unpacked),
        wheels=need.wheels,
        image=need.image > 0,
        written=need.written_size,
    )


@dataclass
class Scratch:
    """The scratch disk of this machine, of ``size`` bytes; 0: it has no such disk."""

    runner: RunnerClient
    size: int
    _need: ScratchNeed | None = None
    _volume: Volume | None = None
    _device: int = -1
    _groups: dict[str, int] = field(default_factory=dict)
    _shared: bool = False
    _sealed: bool = False

    def begin(self, manifest: Manifest) -> None:
        """Make the volume of uploaded assets. Raises AgentError or OSError."""
        if not self.size:
            return
        need = ScratchNeed.of(manifest)
        if need.assets:
            device = self.runner.make_volume(need.uploaded_size)
            self._device = os.open(device, _FLAGS | os.O_CLOEXEC)
            self._volume = Volume(self._device, need.uploaded_size)
            self._groups = first_groups(need.assets)
        # The datasets of a container image are for its user, whom only the unpacked image knows.
        self._shared = manifest.algorithm.container is not None
        self._need = need

    def region(self, asset: Asset) -> Region | None:
        """A file for the asset, to be written from the beginning; None if it stays in memory. Raises OSError."""
        if asset.name not in self._groups:
            return None
        if self._volume is None:
            raise OSError(errno.ENODEV, "the scratch disk is closed")
        return self._volume.region(self._groups[asset.name])

    def seal(self, path: Callable[[Asset], Path], *, seconds: int) -> ScratchJob | None:
        """Finish the volume, when all assets are complete. ``path`` is where one is. Raises OSError."""
        if self._need is None:
            return None
        seal = None
        if self._volume is not None:
            root = DirectoryEntry()
            for asset in self._need.assets:
                block = self._groups[asset.name] * PER_BLOCK
                _put(
                    root,
                    path(asset).parts,
                    FileEntry(DataExtent(block, asset.size), executable=asset.kind == "algorithm"),
                )
            groups = end_group(self._need.assets)
            seal = self._volume.seal(root, groups, owner=MACHINE.owner, seconds=seconds, shared=self._shared)
            self._close()
        self._sealed = True
        return scratch_job(self._need, seal)

    def wipe(self) -> None:
        """Forget the disk's key. If there was a run, the runner does that when it cleans up. Raises OSError."""
        self._close()
        need, self._need = self._need, None
        if need is not None and not self._sealed:
            try:
                self.runner.close_scratch()
            except AgentError as error:
                raise OSError(errno.EIO, error.message) from error

    def _close(self) -> None:
        if self._device >= 0:
            os.close(self._device)
        self._device, self._volume = -1, None


def _put(root: DirectoryEntry, parts: tuple[str, ...], entry: FileEntry) -> None:
    folder = root
    for part in parts[:-1]:
        inner = folder.entries.setdefault(part.encode(), DirectoryEntry())
        if not isinstance(inner, DirectoryEntry):
            raise ValueError(f"{part} is a file.")
        folder = inner
    folder.entries[parts[-1].encode()] = entry
