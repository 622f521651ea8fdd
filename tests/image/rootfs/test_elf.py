"""The closure of a program contains its loader, its libraries, and theirs."""

import itertools

import pytest

from cloister.protocol import elf as protocol_elf
from image.errors import ImageError
from image.rootfs import elf
from image.rootfs.tree import Tree, TreeEntry
from tests.image.small_programs import elf_program

FOLDER = "usr/lib/x86_64-linux-gnu"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"


def test_needed_libraries_are_read_in_their_order() -> None:
    assert elf.needed(elf_program(["libb.so.1", "liba.so.2"])) == ["libb.so.1", "liba.so.2"]


def test_a_static_program_needs_nothing() -> None:
    assert elf.needed(elf_program([])) == []


def test_the_closure_follows_libraries_and_links() -> None:
    tree = Tree()
    tree.put("lib", TreeEntry.link("usr/lib"))
    tree.put("usr/sbin/tool", TreeEntry.file(elf_program(["liba.so.1", "libc.so.6"]), executable=True))
    tree.put(f"{FOLDER}/liba.so.1", TreeEntry.link("liba.so.1.2"))
    tree.put(f"{FOLDER}/liba.so.1.2", TreeEntry.file(elf_program(["libc.so.6"])))
    tree.put(f"{FOLDER}/libc.so.6", TreeEntry.file(elf_program(["ld-linux-x86-64.so.2"])))
    tree.put(f"{FOLDER}/unused.so", TreeEntry.file(elf_program([])))
    tree.put(LOADER, TreeEntry.link("../lib/x86_64-linux-gnu/ld.so"))
    tree.put(f"{FOLDER}/ld.so", TreeEntry.file(elf_program([])))

    found = elf.closure(tree, ["usr/sbin/tool"])

    assert [path for path, entry in found if entry != TreeEntry.directory()] == [
        f"{FOLDER}/liba.so.1",
        f"{FOLDER}/libc.so.6",
        LOADER,
        "usr/sbin/tool",
    ]
    assert found[f"{FOLDER}/liba.so.1"] == tree[f"{FOLDER}/liba.so.1.2"]


def test_a_library_that_is_not_in_the_tree_is_an_error() -> None:
    tree = Tree()
    tree.put("usr/bin/tool", TreeEntry.file(elf_program(["libgone.so.1"]), executable=True))
    tree.put(LOADER, TreeEntry.file(elf_program([])))

    with pytest.raises(ImageError, match=r"libgone\.so\.1"):
        elf.closure(tree, ["usr/bin/tool"])


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"#!/bin/sh\n" + bytes(100),
        elf_program(["liba.so"])[:100],
        pytest.param(elf_program(["liba.so"] * 1025), id="1025 libraries"),
    ],
)
def test_invalid_program_is_an_error(program: bytes) -> None:
    with pytest.raises(ImageError):
        elf.needed(program)


def test_names_are_read_forwards() -> None:
    """Each step back would unpack a compressed file again."""
    names = [f"lib{number}.so.1" for number in range(500)]
    program = elf_program(names, before=100_000)
    # In the dynamic section the last name comes first.
    start = len(program) - 16 * (len(names) + 3)
    entries = [program[at : at + 16] for at in range(start, start + 16 * len(names), 16)]
    program = program[:start] + b"".join(reversed(entries)) + program[start + 16 * len(names) :]
    places = []

    def read(offset: int, size: int) -> bytes:
        places.append(offset)
        return program[offset : offset + size]

    found = protocol_elf.dynamic(read)
    assert found is not None
    assert found.needed == tuple(reversed(names))
    assert sum(before > after for before, after in itertools.pairwise(places)) <= 3
