"""The user's cache: inputs by digest, and what is unpacked or built from them."""

import hashlib
from pathlib import Path

from cloister.usercache import root

__all__ = ["digest", "inputs", "root"]


def inputs() -> Path:
    """The folder of fetched files; created if missing."""
    folder = root() / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
