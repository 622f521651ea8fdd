"""Reads a volume as the kernel does: blocks under the seal's hash tree, files with the tools of EROFS."""

import os
from hashlib import sha256
from pathlib import Path

from agent_runtime.scratch.volume import Seal
from image.inputs import host_tools

BLOCK = 4096
_PER_BLOCK = BLOCK // 32


def tree_of(data: bytes) -> tuple[str, bytes]:
    """Root and contents of a dm-verity tree, as the kernel's documentation describes it: the root's level first."""
    levels = [data]
    while len(levels) == 1 or len(levels[-1]) > BLOCK:
        below = levels[-1]
        digests = b"".join(sha256(below[start : start + BLOCK]).digest() for start in range(0, len(below), BLOCK))
        levels.append(digests + bytes(-len(digests) % BLOCK))
    return sha256(levels[-1]).hexdigest(), b"".join(reversed(levels[1:]))


def contents(volume: bytes, seal: Seal) -> bytes:
    """Data and metadata of a volume whose tree is right."""
    data = volume[: seal.blocks * BLOCK]
    root, tree = tree_of(data)
    assert root == seal.root
    assert volume[seal.tree * BLOCK :][: len(tree)] == tree
    return data


def files(volume: bytes, seal: Seal, folder: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and mode of each file, and of each folder (no contents), by path. They are unpacked into ``folder``."""
    image = folder.with_name(f"{folder.name}.erofs")
    image.write_bytes(contents(volume, seal))
    tools = host_tools.ensure()
    tools.run("fsck.erofs", f"--extract={folder}", "--no-preserve-owner", "--preserve-perms", image)
    found = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            data = b"" if path.is_dir() else path.read_bytes()
            found[os.fsdecode(os.path.relpath(path, folder))] = (data, path.stat().st_mode & 0o777)
    return found
