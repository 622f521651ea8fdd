"""Write the root file system: compressed erofs, made from a tar so that no metadata of host files enters it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from cloister.process import run
from image.rootfs.tree import Tree

_BLOCK_SIZE = 4096
# Clusters of 64 KiB: larger ones compress better but make random reads slower.
_OPTIONS = ("-zlz4hc,level=9", "-C65536", "-T0", "-x-1", "--quiet")


def build(tree: Tree, *, tool: Callable[[str], list[str]], identifier: UUID) -> bytes:
    """The file system, in whole blocks of 4096 bytes. ``tool`` returns the start of a host tool's command line.

    There is one worker because the number of workers decides where large files are split, and so the bytes.
    """
    with tempfile.TemporaryDirectory(prefix="cloister-erofs-") as folder:
        source, image = Path(folder, "root.tar"), Path(folder, "root.erofs")
        source.write_bytes(tree.archive())
        words = [*tool("mkfs.erofs"), *_OPTIONS, f"-U{identifier}", "--workers=1", "--tar=f", str(image), str(source)]
        run(words, cwd=Path(folder), env={"LC_ALL": "C", "TZ": "UTC"})
        contents = image.read_bytes()
    return contents + bytes(-len(contents) % _BLOCK_SIZE)
