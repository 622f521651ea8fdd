"""Paths in a checkout."""

import os
from pathlib import Path

from cloister.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[1]

ENVIRONMENT, PASSPHRASE = "env", "passphrase"
"""Files in the state folder, which also has a folder for each workspace, with its name."""

PRIVATE = 0o700


def state() -> Path:
    """The state folder of this checkout's workspaces: ``CLOISTER_STATE``, default ``.cloister``."""
    return Path(os.environ.get("CLOISTER_STATE") or CHECKOUT / ".cloister").absolute()


def private_folder(folder: Path) -> Path:
    """Create ``folder`` if needed, accessible to this user only; returns it.

    Raises InputError for one to which others may write, such as /tmp: it is not ours to close.
    """
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o022:
        raise InputError(
            f"Keys cannot be kept in {folder}: other users may write to it.",
            hint="Name a folder of its own, with CLOISTER_STATE; or if only you use it: chmod go-w.",
        )
    folder.chmod(PRIVATE)
    return folder
