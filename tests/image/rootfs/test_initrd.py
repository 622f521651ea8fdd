"""The initrd is three archives: what takes long to compress does not depend on the root, whose hash is in the last."""

from pathlib import Path

from cloister.process import run
from image.inputs import host_tools
from image.rootfs import initrd
from image.rootfs.tree import Tree, TreeEntry
from tests.image.small_programs import elf_program


def system() -> Tree:
    made = Tree()
    for path in ("usr/bin/busybox", "usr/sbin/dmsetup", "usr/lib64/ld-linux-x86-64.so.2"):
        made.put(path, TreeEntry.file(elf_program([]), executable=True))
    return made


def test_all_archives_together_are_the_initrd() -> None:
    modules = Tree()
    modules.put("usr/lib/modules/dm_verity.ko", TreeEntry.file(b"module" * 100))
    programs = initrd.programs(system(), init=b"#!/bin/sh", hardware=b"")
    table = initrd.table("0 8 verity 1 DATA TREE ...")
    tool, archives = host_tools.ensure().argv, [initrd.archive(part) for part in (programs, modules, table)]
    made = b"".join(initrd.compress(archive, tool=tool) for archive in archives)

    assert run([*tool("zstd"), "-dc", "--quiet", "-"], cwd=Path("/"), input=made).stdout == b"".join(archives)
    assert [archive.count(b"etc/root-table\0") for archive in archives] == [0, 0, 1]
    assert [archive.count(b"dev/console\0") for archive in archives] == [1, 0, 0]
