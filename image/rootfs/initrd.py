"""Build the initrd: busybox, dmsetup with its libraries, disk modules, and the root's hash as a file.

It is compressed because the firmware hashes it several times, which takes longer than unpacking it.
"""

from collections.abc import Callable
from pathlib import Path

from cloister.process import run
from image.formats import cpio
from image.rootfs import elf
from image.rootfs.tree import EntryKind, Tree, TreeEntry

_PROGRAMS = ("usr/bin/busybox", "usr/sbin/dmsetup")
_FOLDERS = ("dev", "proc", "sys", "sysroot")


def tree(system: Tree, modules: Tree, *, init: bytes, hardware: bytes, root_table: str) -> Tree:
    """The files of the initrd: programs from ``system``, ``modules`` with their order, and the root's table.

    ``init`` is its first program, ``hardware`` the script with which that detects the platform. ``root_table`` is a
    line for dmsetup with the words DATA and TREE in place of the two devices.
    """
    made = elf.closure(system, _PROGRAMS)
    for folder in ("bin", "lib", "lib64", "sbin"):
        made.put(folder, TreeEntry.link(f"usr/{folder}"))
    for folder in _FOLDERS:
        made.put(folder, TreeEntry.directory())
    made.update(modules)
    made.put("etc/root-table", TreeEntry.file(f"{root_table}\n".encode()))
    made.put("usr/lib/cloister/hardware", TreeEntry.file(hardware))
    made.put("init", TreeEntry.file(init, executable=True))
    return made


def archive(contents: Tree) -> bytes:
    """The uncompressed cpio archive, with /dev/console, which the kernel opens before init runs."""
    entries = [_entry(path, entry) for path, entry in contents]
    entries.insert([entry.path for entry in entries].index("dev") + 1, cpio.character_device("dev/console", 5, 1))
    return cpio.archive(entries)


def compress(data: bytes, *, tool: Callable[[str], list[str]]) -> bytes:
    """One zstd frame, level 19, one thread. ``tool`` returns the start of a host tool's command line."""
    words = [*tool("zstd"), "-19", "--single-thread", "--no-check", "--stdout", "--quiet", "-"]
    return run(words, cwd=Path("/"), env={"LC_ALL": "C"}, input=data).stdout


def _entry(path: str, entry: TreeEntry) -> cpio.CpioEntry:
    if entry.kind is EntryKind.DIRECTORY:
        return cpio.directory(path, entry.mode)
    if entry.kind is EntryKind.LINK:
        return cpio.link(path, entry.contents.decode())
    return cpio.regular(path, entry.contents, entry.mode)
