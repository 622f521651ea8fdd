"""Which disk is the scratch disk. tests/e2e/scratch/test_scratch.py shows that it is encrypted and sealed."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent_runtime.runner.disk import devicemapper, kernellog, scratchdisk
from agent_runtime.runner.disk.kernellog import KernelLog
from agent_runtime.runner.disk.scratchdisk import ScratchDisk, ScratchError
from tests.image.guest.test_guest import GUEST, shell


def no_messages() -> int:
    """A descriptor that never has anything to read."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


ROOT, SCRATCH, KERNELS, PATH_OF_ONE = "with the root", "empty", "the kernel's own", "a path of a disk"


def system(folder: Path, disks: dict[str, str]) -> Path:
    """A sysfs with these disks."""
    for name, kind in disks.items():
        disk = folder / "block" / name
        disk.mkdir(parents=True)
        if kind != KERNELS:
            (disk / "device").mkdir()
        if kind == ROOT:
            part = disk / (f"{name}p2" if name[-1].isdigit() else f"{name}2")
            part.mkdir()
            (part / "uevent").write_text("MAJOR=253\nDEVTYPE=partition\nPARTNAME=root\n")
        if kind == PATH_OF_ONE:
            (disk / "hidden").write_text("1\n")
    return folder


@pytest.mark.parametrize(
    ("disks", "found"),
    [
        ({"vda": ROOT, "vdb": SCRATCH, "dm-0": KERNELS, "loop0": KERNELS}, "vdb"),
        ({"sda": SCRATCH, "sdb": ROOT}, "sda"),
        ({"nvme0n1": ROOT, "nvme0n2": SCRATCH}, "nvme0n2"),
        ({"nvme0c0n1": PATH_OF_ONE, "nvme0n1": ROOT, "nvme1c1n1": PATH_OF_ONE, "nvme1n1": SCRATCH}, "nvme1n1"),
        ({"sda": ROOT, "nvme0n1": SCRATCH}, "nvme0n1"),
    ],
)
def test_the_scratch_disk_is_the_one_without_the_root(tmp_path: Path, disks: dict[str, str], found: str) -> None:
    sys = system(tmp_path, disks)
    assert scratchdisk.find(sys) == Path("/dev") / found
    assert int(shell(f'. {GUEST}/hardware && disks "$1"', str(sys)).stdout) > 1


@pytest.mark.parametrize(
    ("disks", "count"),
    [
        ({"vda": ROOT, "dm-0": KERNELS}, 0),
        ({"vda": ROOT, "vdb": SCRATCH, "vdc": SCRATCH}, 2),
        ({"vda": SCRATCH, "vdb": SCRATCH}, 2),
    ],
)
def test_another_number_of_disks_is_refused(tmp_path: Path, disks: dict[str, str], count: int) -> None:
    with pytest.raises(ScratchError, match=f"one disk besides that of its image, for scratch, not {count}"):
        scratchdisk.find(system(tmp_path, disks))


def test_a_machine_without_disks_has_none(tmp_path: Path) -> None:
    assert shell(f'. {GUEST}/hardware && disks "$1"', str(tmp_path)).stdout == "0\n"


def test_requests_to_device_mapper_have_the_kernels_form() -> None:
    """Of include/uapi/linux/dm-ioctl.h: sizes of the structures, and _IOWR(0xfd, 9, struct dm_ioctl)."""
    assert (devicemapper._HEADER.size, devicemapper._TARGET.size) == (312, 40)
    assert devicemapper._LOAD == 3 << 30 | 312 << 16 | 0xFD << 8 | 9


def test_a_part_outside_of_the_disk_is_refused() -> None:
    disk = ScratchDisk()
    with pytest.raises(ScratchError, match="no such part"):
        disk.volume("uploaded", 0, 4096)
    disk._crypt = devicemapper.Mapped("scratch", 1, 1024)
    for start, size in ((0, 1 << 20), (-4096, 8192), (4096, 524_288), (1, 4096), (0, 100), (0, 0)):
        with pytest.raises(ScratchError, match="no such part"):
            disk.volume("uploaded", start, size)


def test_the_smallest_disk_is_compared_with_what_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").write_bytes(bytes(8192))
    monkeypatch.setattr(kernellog, "follow", no_messages)
    with pytest.raises(ScratchError, match="must have 10000 bytes, but has 8192"):
        ScratchDisk().open(tmp_path / "disk", 10_000)


def test_superblocks_are_in_the_groups_that_ext4_says() -> None:
    assert scratchdisk.superblock_groups(130) == [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]
    assert scratchdisk.superblock_groups(1) == [0]


ERRORS = [
    b"3,1,2,-;trusted_key: device-mapper: crypt: dm-1: INTEGRITY AEAD ERROR, sector 72",
    b"3,1,2,-;device-mapper: crypt: dm-1: INTEGRITY AEAD ERROR, sector 72",
    b"3,1,2,-;device-mapper: verity: 254:3: data block 8 is corrupted",
    b"3,1,2,-;device-mapper: integrity: Error on reading tags: -5",
    b"3,1,2,-;I/O error, dev vdb, sector 8 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0",
    b"3,1,2,-;critical space allocation error, dev vdb, sector 8 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 0",
    b"2,1,2,-;EXT4-fs error (device dm-4): ext4_lookup:1787: inode #2: comm python3: iget: checksum invalid",
]
OTHERS = [
    b"6,1,2,-;device-mapper: crypt: aegis128 will be used",
    b"4,1,2,-;EXT4-fs warning (device dm-4): ext4_dirblock_csum_verify:405: inode #2",
    b"3,1,2,-;I/O error, dev vda, sector 8 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0",
    b"11,1,2,-;device-mapper: verity: written by a program",
    b"3,1,2,-;Out of memory: Killed process 9 (device-mapper:)",
]


@pytest.mark.parametrize(("record", "counts"), [*((one, True) for one in ERRORS), *((one, False) for one in OTHERS)])
def test_errors_of_the_disk_are_found_among_the_kernels_messages(record: bytes, counts: bool) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.setblocking(False)
        log = KernelLog(lambda message: scratchdisk.is_error_of(Path("/dev/vdb"), message), os.dup(here.fileno()))
        assert not log.found()
        for sent in (b"6,1,2,-;something", record, b"6,1,2,-;something else"):
            there.send(sent)
        assert log.found() is counts


def test_lost_messages_count_as_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host could hide one behind many others."""
    log = KernelLog(lambda message: False, no_messages())
    assert not log.found()
    answers = [BrokenPipeError(), BlockingIOError()]
    monkeypatch.setattr(kernellog, "os", SimpleNamespace(read=lambda *_: (_ for _ in ()).throw(answers.pop(0))))
    assert log.found()
