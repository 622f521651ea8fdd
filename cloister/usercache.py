"""The folder in which a user's downloads and unpacked files are kept for the next command."""

import os
from pathlib import Path


def root() -> Path:
    """``$XDG_CACHE_HOME/cloister``, else ``~/.cache/cloister`` (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is invalid, and ignored.
    return (Path(named) if named.startswith("/") else Path.home() / ".cache") / "cloister"
