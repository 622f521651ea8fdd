"""The scratch disk: found, encrypted under a key of this boot, divided into volumes. Part of the runner, which is root.

Linux, Documentation/admin-guide/device-mapper/dm-integrity.rst (mode D: tags beside the data, no journal), dm-crypt.rst
(authenticated encryption on it) and verity.rst. The disk is not wiped: a block that was never written has no valid tag,
so reading it is an error. Standard library only.
"""

import errno
import mmap
import os
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.runner.disk import devicemapper, kernellog
from agent_runtime.runner.disk.devicemapper import SECTOR, Mapped, MapTarget
from agent_runtime.runner.disk.kernellog import KernelLog
from agent_runtime.runner.disk.keyring import random_key
from agent_runtime.runner.mounts import MS_NOATIME, MS_NODEV, MS_NOSUID, MS_RDONLY, mount, unmount
from agent_runtime.scratch.volume import Seal
from cloister.protocol.volume import BLOCK

CIPHER, KEY_SIZE, TAG = "capi:aegis128-random", 16, 32
"""dm-crypt's cipher, the bytes of its key, and those that it keeps beside each block: 16 of IV, 16 of tag.

Chosen by measurement: docs/agent.md, "The scratch disk"."""

_INTEGRITY, _CRYPT = "scratch-integrity", "scratch"
_ROOT = "PARTNAME=root"
_SEALED = "-sealed"
_BUSYBOX = "/usr/bin/busybox"
_FILES = 262_144
"""Files and folders that the algorithm may write, or one for each 16 KiB if those are fewer."""

_GROUP = 8 * BLOCK * BLOCK
"""Bytes of a group of ext4: as many blocks as a block has bits."""

_CORRUPTED = "C"
"""The status of a dm-verity device that has found a block that its tree does not have (verity_status)."""

_ERRORS = (b"device-mapper: crypt:", b"device-mapper: integrity:", b"device-mapper: verity:", b"EXT4-fs error")
"""How the kernel reports what it cannot read: dm-crypt a tag that does not fit, which is a message only. It may begin
with something else: Linux 6.12 says ``trusted_key: device-mapper: crypt: dm-1: INTEGRITY AEAD ERROR, sector 72``.

Of a disk that does not answer it says ``I/O error, dev vdb, sector 8`` (block/blk-mq.c, blk_print_req_error).
"""


class ScratchError(OSError):
    """The scratch disk cannot be used. ``strerror`` is for the parties: a sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(errno.ENODEV, sentence)


def find(sys: Path = Path("/sys")) -> Path:
    """The node of the scratch disk: the only disk besides the one with the root file system. Raises ScratchError.

    Names of disks differ in each cloud and on each of its interfaces; a workspace attaches no third disk.
    """
    others = [disk.name for disk in sorted((sys / "block").iterdir()) if _is_disk(disk) and not _has_root(disk)]
    if len(others) != 1:
        raise ScratchError(f"The machine must have one disk besides that of its image, for scratch, not {len(others)}.")
    return Path("/dev") / others[0]


def _is_disk(disk: Path) -> bool:
    """Neither a device of the kernel's own, such as dm-0, nor one of the paths of an NVMe disk that has several."""
    hidden = disk / "hidden"
    return (disk / "device").exists() and not (hidden.exists() and hidden.read_text().strip() == "1")


def _has_root(disk: Path) -> bool:
    return any(_ROOT in part.read_text().splitlines() for part in disk.glob(f"{disk.name}*/uevent"))


@dataclass
class ScratchDisk:
    """The disk of one boot. Its key is in the kernel's memory only; :meth:`close` removes it there."""

    _crypt: Mapped | None = None
    _volumes: dict[str, Mapped] = field(default_factory=dict)
    _mounted: list[Path] = field(default_factory=list)
    _devices: list[Mapped] = field(default_factory=list)
    _log: KernelLog | None = None
    _closing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """Bytes that can be used; 0 before :meth:`open`."""
        return self._crypt.size if self._crypt else 0

    @property
    def mounted(self) -> bool:
        """Whether a volume is mounted."""
        return bool(self._mounted)

    def open(self, device: Path, declared: int) -> None:
        """Encrypt the disk. Raises OSError, and ScratchError when it has fewer bytes than ``declared``."""
        if self._crypt is not None:
            return
        self._log = KernelLog(lambda message: is_error_of(device, message), kernellog.follow())
        found = disk_size(device)
        if found < declared:
            raise ScratchError(f"The scratch disk must have {declared} bytes, but has {found}.")
        _clear(device, 0)
        # The kernel says how many sectors it provides only once there is such a device.
        smallest = self._create(_INTEGRITY, _integrity(device, 8))
        provided = int(devicemapper.status(smallest.name).split()[1])
        self._remove(smallest)
        integrity = self._create(_INTEGRITY, _integrity(device, provided))
        with random_key("cloister:scratch", KEY_SIZE) as key:
            words = f"{CIPHER} {key} 0 {integrity.path} 0 2 integrity:{TAG}:aead sector_size:{BLOCK}"
            self._crypt = self._create(_CRYPT, MapTarget(provided, "crypt", words), secret=True)

    def volume(self, name: str, start: int, size: int) -> Mapped:
        """Make a part of the disk a device of its own. Raises OSError or ScratchError."""
        if self._crypt is None or start % BLOCK or size % BLOCK or not 0 <= start < start + size <= self._crypt.size:
            raise ScratchError("The scratch disk has no such part.")
        made = self._create(f"scratch-{name}", devicemapper.linear(self._crypt, start, size))
        self._volumes[name] = made
        return made

    def mount_sealed(self, name: str, seal: Seal, place: Path) -> None:
        """Mount a finished volume: the kernel compares each block with the seal when it reads it. Raises OSError."""
        volume = self._volumes[name]
        words = f"1 {volume.path} {volume.path} {BLOCK} {BLOCK} {seal.blocks} {seal.tree} sha256 {seal.root} -"
        sectors = seal.blocks * BLOCK // SECTOR
        device = self._create(f"scratch-{name}{_SEALED}", MapTarget(sectors, "verity", words), read_only=True)
        place.mkdir(mode=0o755)
        mount(str(device.path), place, "erofs", MS_NOSUID | MS_NODEV | MS_RDONLY, "")
        self._mounted.append(place)

    def mount_writable(self, name: str, place: Path) -> None:
        """Make a file system on a volume and mount it. Raises OSError."""
        device = self._volumes[name].path
        make_file_system(device)
        place.mkdir(mode=0o755)
        mount(str(device), place, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, "errors=remount-ro")
        self._mounted.append(place)

    def failed(self) -> bool:
        """Whether the disk returned something other than what was written to it, or nothing. Raises OSError."""
        if self._log is None:
            return False
        sealed = (device.name for device in self._devices if device.name.endswith(_SEALED))
        return any(devicemapper.status(name) == _CORRUPTED for name in sealed) or self._log.found()

    def close(self) -> None:
        """Unmount and remove everything, the key as well: then nothing can be read from the disk. Raises OSError.

        A process that is about to end may still use a device; that one remains, and returns errors.
        """
        # The end of a run and that of the machine may come together.
        with self._closing:
            self._close()

    def _close(self) -> None:
        failed: OSError | None = None
        for place in self._mounted[::-1]:
            try:
                unmount(place)
                self._mounted.remove(place)
            except OSError as error:
                failed = error
        for device in self._devices[::-1]:
            try:
                self._forget(device)
            except OSError as error:
                failed = error
        self._volumes.clear()
        self._crypt = None
        if failed is not None:
            raise failed

    def _create(self, name: str, target: MapTarget, *, read_only: bool = False, secret: bool = False) -> Mapped:
        made = devicemapper.create(name, target, read_only=read_only, secret=secret)
        self._devices.append(made)
        return made

    def _remove(self, device: Mapped) -> None:
        devicemapper.remove(device.name)
        self._devices.remove(device)

    def _forget(self, device: Mapped) -> None:
        try:
            devicemapper.remove(device.name)
        except OSError:
            devicemapper.lose(device)
        self._devices.remove(device)


def is_error_of(disk: Path, message: bytes) -> bool:
    """Whether an error of the kernel is one of the scratch disk."""
    return any(error in message for error in (*_ERRORS, f" error, dev {disk.name}, ".encode()))


def disk_size(device: Path) -> int:
    """Bytes of a block device. Raises OSError."""
    with device.open("rb", buffering=0) as file:
        return file.seek(0, os.SEEK_END)


def make_file_system(device: Path) -> None:
    """Make an ext4 file system without journal. Raises OSError.

    Unwritten blocks cannot be read, and mke2fs writes superblocks in parts of blocks: those are written before.
    """
    size = disk_size(device)
    for group in superblock_groups(-(-size // _GROUP)):
        _clear(device, group * _GROUP)
    words = [_BUSYBOX, *mke2fs_words(device, size)]
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, env={})
    if done.returncode:
        raise OSError(errno.EIO, "the file system on the scratch disk cannot be made")


def mke2fs_words(device: Path, size: int) -> list[str]:
    """The arguments with which busybox makes the file system."""
    share = str(max(size // _FILES, 16 * 1024))
    return ["mke2fs", "-F", "-b", str(BLOCK), "-I", "256", "-m", "0", "-i", share, str(device)]


def superblock_groups(groups: int) -> list[int]:
    """The groups with a copy of the superblock: 0, 1 and powers of 3, 5 and 7 (ext4's ``sparse_super``)."""
    powers = {base**power for base in (3, 5, 7) for power in range(40)}
    return sorted(group for group in {0, 1} | powers if group < groups)


def _clear(device: Path, offset: int) -> None:
    """Write a block of zeros, past all caches."""
    descriptor = os.open(device, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        with mmap.mmap(-1, BLOCK) as zeros:
            if os.pwrite(descriptor, zeros, offset) != BLOCK:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
    finally:
        os.close(descriptor)


def _integrity(device: Path, sectors: int) -> MapTarget:
    """dm-integrity that keeps dm-crypt's tags. Its own superblock is the host's to change: it says only how tags and
    data are laid out, and dm-crypt recognises what is not its own.
    """
    return MapTarget(sectors, "integrity", f"{device} 0 {TAG} D 2 block_size:{BLOCK} journal_sectors:256")
