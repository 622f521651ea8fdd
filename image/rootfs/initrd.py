"""Build the initrd: busybox, dmsetup with its libraries, disk modules, and the root's hash as a file.

It is compressed because the firmware hashes it several times, which takes longer than unpacking it. Nothing of a build
takes as long as compressing it, so it is three archives, of programs, modules and the root's hash, which are compressed
side by side, and the first two without waiting for the root. Linux unpacks them one after the other
(Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from collections.abc import Callable
from pathlib import Path

from cloister.process import run
from image.formats import cpio
from image.rootfs import elf
from image.rootfs.tree import EntryKind, Tree, TreeEntry

_PROGRAMS = ("usr/bin/busybox", "usr/sbin/dmsetup")
_FOLDERS = ("dev", "proc", "sys", "sysroot")


def programs(system: Tree, *, init: bytes, hardware: bytes) -> Tree:
    """The programs from ``system`` with their libraries, the first program ``init``, and mount points.

    ``hardware`` is the script with which ``init`` detects the platform.
    """
    made = elf.closure(system, _PROGRAMS)
    for folder in ("bin", "lib", "lib64", "sbin"):
        made.put(folder, TreeEntry.link(f"usr/{folder}"))
    for folder in _FOLDERS:
        made.put(folder, TreeEntry.directory())
    made.put("usr/lib/cloister/hardware", TreeEntry.file(hardware))
    made.put("init", TreeEntry.file(init, executable=True))
    return made


def table(root_table: str) -> Tree:
    """The root's table: a line for dmsetup with the words DATA and TREE in place of the two devices."""
    made = Tree()
    made.put("etc/root-table", TreeEntry.file(f"{root_table}\n".encode()))
    return made


def archive(contents: Tree) -> bytes:
    """The uncompressed cpio archive; one with /dev has /dev/console, which the kernel opens before init runs."""
    entries = [_entry(path, entry) for path, entry in contents]
    if "dev" in contents:
        entries.insert([entry.path for entry in entries].index("dev") + 1, cpio.character_device("dev/console", 5, 1))
    return cpio.archive(entries)


def compress(data: bytes, *, tool: Callable[[str], list[str]]) -> bytes:
    """One zstd frame, one thread. ``tool`` returns the start of a host tool's command line.

    Level 19 would take a quarter longer for half a percent.
    """
    words = [*tool("zstd"), "-18", "--single-thread", "--no-check", "--stdout", "--quiet", "-"]
    return run(words, cwd=Path("/"), env={"LC_ALL": "C"}, input=data).stdout


def _entry(path: str, entry: TreeEntry) -> cpio.CpioEntry:
    if entry.kind is EntryKind.DIRECTORY:
        return cpio.directory(path, entry.mode)
    if entry.kind is EntryKind.LINK:
        return cpio.link(path, entry.contents.decode())
    return cpio.regular(path, entry.contents, entry.mode)
