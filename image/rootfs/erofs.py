"""The root file system: erofs, compressed, made from a tar so that no file of the host's has a say in it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from cloister.process import run
from image.rootfs.tree import Tree

_BLOCK_SIZE = 4096
# Read in pieces of 64 KiB: larger ones compress better and cost more for each random read.
_OPTIONS = ("-zlz4hc,level=9", "-C65536", "-T0", "-x-1", "--quiet")


def build(tree: Tree, *, tool: Callable[[str], list[str]], identifier: UUID) -> bytes:
    """The file system in whole blocks of 4096 bytes. ``tool`` gives the words that start a locked host tool.

    One worker: how many there are decides where large files are cut, and thereby the bytes.
    """
    with tempfile.TemporaryDirectory(prefix="cloister-erofs-") as folder:
        source, image = Path(folder, "root.tar"), Path(folder, "root.erofs")
        source.write_bytes(tree.archive())
        words = [*tool("mkfs.erofs"), *_OPTIONS, f"-U{identifier}", "--workers=1", "--tar=f", str(image), str(source)]
        run(words, cwd=Path(folder), env={"LC_ALL": "C", "TZ": "UTC"})
        contents = image.read_bytes()
    return contents + bytes(-len(contents) % _BLOCK_SIZE)
