"""What one run has on the scratch disk: uploaded assets, what is unpacked from them, what the algorithm writes.

Part of the runner, which is root. Standard library only.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from agent_runtime.runner.disk.scratchdisk import ScratchDisk
from agent_runtime.runner.protocol import Job
from agent_runtime.scratch.volume import Seal

UPLOADED = "uploaded"
"""The volume of uploaded assets, which the agent writes. It begins where the disk does."""

_UNPACKED, _WRITTEN = "unpacked", "written"

Pack = Callable[[int], tuple[int, bytes]]
"""Writes a volume through a descriptor; returns an exit status, and the seal as a line of JSON."""


class UnsealedError(Exception):
    """The packer returned something other than a seal: an archive has taken it over."""


def read_seal(answer: bytes) -> Seal:
    """The seal in a packer's answer. Raises UnsealedError."""
    try:
        return Seal.from_value(json.loads(answer))
    except (ValueError, RecursionError) as error:
        raise UnsealedError from error


class ScratchRun:
    """The volumes of one run, mounted below ``base``."""

    def __init__(self, disk: ScratchDisk, base: Path, job: Job) -> None:
        self._disk = disk
        self._base = base
        self._job = job

    @property
    def written(self) -> Path | None:
        """The folder of what the algorithm writes; None if that is in memory."""
        return self._base / _WRITTEN if self._job.written else None

    @property
    def wheels(self) -> Path:
        """The installed wheels."""
        return self._base / _UNPACKED / "wheels"

    @property
    def image(self) -> Path:
        """The unpacked container image, and what is said about it."""
        return self._base / _UNPACKED / "image"

    def mount(self) -> None:
        """Mount what is there before anything is unpacked. Raises OSError or ScratchError."""
        scratch = self._job.scratch
        if scratch is None:
            return
        if scratch.seal is not None:
            self._disk.mount_sealed(UPLOADED, scratch.seal, self._base / UPLOADED)
        if scratch.written:
            self._disk.volume(_WRITTEN, scratch.uploaded + scratch.unpacked, scratch.written)
            self._disk.mount_writable(_WRITTEN, self._base / _WRITTEN)

    def places(self, store: Path, name: str) -> list[Path]:
        """Where ``name`` is: in the store, which is in memory, on the scratch disk, or as a folder in both."""
        roots = (store, self._base / UPLOADED, self._base / _UNPACKED)
        return [root / name for root in roots if (root / name).exists()]

    def unpack(self, pack: Pack) -> int:
        """Let ``pack`` write the volume of unpacked data, and mount that. Returns the status of ``pack``.

        Raises OSError or ScratchError, and UnsealedError when it succeeds without a seal.
        """
        scratch = self._job.scratch
        if scratch is None:
            return 0
        volume = self._disk.volume(_UNPACKED, scratch.uploaded, scratch.unpacked)
        device = os.open(volume.path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        try:
            status, answer = pack(device)
        finally:
            os.close(device)
        if status == 0:
            self._disk.mount_sealed(_UNPACKED, read_seal(answer), self._base / _UNPACKED)
        return status

    def full(self) -> bool:
        """Whether there is no room left for what the algorithm writes."""
        if self.written is None:
            return False
        try:
            free = os.statvfs(self.written)
        except OSError:
            return False
        return not free.f_bavail or not free.f_favail

    def failed(self) -> bool:
        """Whether the disk returned something other than what was written to it."""
        return self._disk.failed()
