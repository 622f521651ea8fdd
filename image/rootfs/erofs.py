"""Write the root file system: compressed erofs, made from a tar so that no metadata of host files enters it."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from cloister.process import run
from image.rootfs.tree import Tree
from image.rootfs.workers import processors

_BLOCK_SIZE = 4096
_COMPRESSIONS = {
    # Clusters of 64 KiB: larger ones compress better but make random reads slower.
    "lz4hc": ("-zlz4hc,level=9", "-C65536"),
    # A quarter smaller with many small files, whose ends are stored together. Unpacking takes more of the guest's time.
    "zstd": ("-zzstd,level=3", "-C262144", "-Efragments"),
}
_OPTIONS = ("-T0", "-x-1", "--quiet")
_MOST_WORKERS = 8


def build(
    tree: Tree, *, tool: Callable[[str], list[str]], identifier: UUID, compression: str, workers: int | None = None
) -> bytes:
    """The file system, in whole blocks of 4096 bytes. ``tool`` returns the start of a host tool's command line.

    ``compression`` is one of ``image.inputs.parts.COMPRESSIONS``. The bytes do not depend on the number of ``workers``
    (None: one for each processor).
    """
    count = workers or min(processors(), _MOST_WORKERS)
    with tempfile.TemporaryDirectory(prefix="cloister-erofs-") as folder:
        source, image = Path(folder, "root.tar"), Path(folder, "root.erofs")
        with source.open("wb") as file:
            tree.archive(file)
        options = [*_COMPRESSIONS[compression], *_OPTIONS, f"-U{identifier}", f"--workers={count}", "--tar=f"]
        words = [*tool("mkfs.erofs"), *options, str(image), str(source)]
        # With fragments, mkfs.erofs 1.8 writes the mode of a temporary file into the image: one byte, by umask.
        run(words, cwd=Path(folder), env={"LC_ALL": "C", "TZ": "UTC"}, umask=0o022)
        size = image.stat().st_size
        os.truncate(image, size + -size % _BLOCK_SIZE)
        return image.read_bytes()
