"""Paths in a checkout."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

ENVIRONMENT, PASSPHRASE = "env", "passphrase"
"""Files in the state folder, which also has a folder for each workspace, with its name."""

PRIVATE = 0o700


def state() -> Path:
    """The state folder of this checkout's workspaces: ``CLOISTER_STATE``, default ``.cloister``."""
    return Path(os.environ.get("CLOISTER_STATE") or CHECKOUT / ".cloister").absolute()


def private_folder(folder: Path) -> Path:
    """Create ``folder`` if needed, accessible to this user only; returns it."""
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    folder.chmod(PRIVATE)
    return folder
