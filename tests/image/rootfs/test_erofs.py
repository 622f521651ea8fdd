"""The file system's bytes depend on the tree only."""

import os
from collections.abc import Iterator
from uuid import UUID

import pytest

from image.inputs import host_tools
from image.inputs.parts import COMPRESSIONS
from image.rootfs import erofs
from image.rootfs.tree import Tree, TreeEntry


@pytest.fixture
def restored_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("restored_umask")
@pytest.mark.parametrize("compression", sorted(COMPRESSIONS))
def test_file_system_depends_neither_on_the_umask_nor_on_the_number_of_workers(compression: str) -> None:
    tree = Tree()
    for number in range(40):
        tree.put(f"usr/{number:02}", TreeEntry.file(b"%d" % number * 1000))
    tools = host_tools.ensure()
    made = set()
    for umask, workers in ((0o022, 1), (0o077, 1), (0o000, 4)):
        os.umask(umask)
        made.add(erofs.build(tree, tool=tools.argv, identifier=UUID(int=1), compression=compression, workers=workers))
    assert len(made) == 1
