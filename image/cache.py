"""The user's cache: inputs by digest, and what is unpacked or built from them."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """``$XDG_CACHE_HOME/cloister``, else ``~/.cache/cloister`` (XDG Base Directory Specification)."""
    named = environment.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".cache") / "cloister"


def inputs() -> Path:
    """The folder of fetched files; created if missing."""
    folder = root() / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
