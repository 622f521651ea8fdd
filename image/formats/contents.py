"""The contents of an output: bytes, or pieces that are written one after the other to avoid copying them."""

import hashlib
from pathlib import Path
from typing import BinaryIO, TypeAlias

Contents: TypeAlias = bytes | tuple[bytes | memoryview, ...]

_BLOCK = 1 << 20


def pieces(contents: Contents) -> tuple[bytes | memoryview, ...]:
    """The pieces in order; bytes are one piece."""
    return contents if isinstance(contents, tuple) else (contents,)


def size(contents: Contents) -> int:
    """The size in bytes."""
    return sum(len(piece) for piece in pieces(contents))


def sha256(contents: Contents) -> str:
    """SHA-256 in lower-case hex."""
    digest = hashlib.sha256()
    for piece in pieces(contents):
        digest.update(piece)
    return digest.hexdigest()


def write(contents: Contents, path: Path) -> None:
    """Write ``contents`` to the file ``path``."""
    with path.open("wb") as file:
        file.writelines(pieces(contents))


def same(contents: Contents, path: Path) -> bool:
    """Whether the file at ``path`` exists and has exactly these contents."""
    if not path.is_file() or path.stat().st_size != size(contents):
        return False
    with path.open("rb") as file:
        return all(_read_same(file, memoryview(piece)) for piece in pieces(contents))


def _read_same(file: BinaryIO, piece: memoryview) -> bool:
    blocks = (piece[at : at + _BLOCK] for at in range(0, len(piece), _BLOCK))
    return all(file.read(len(block)) == block for block in blocks)
