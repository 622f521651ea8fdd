"""Where things lie in a checkout."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

ENVIRONMENT, PASSPHRASE = "env", "passphrase"
"""Files of the state's folder; beside them lies a folder for each workspace, of its name."""

PRIVATE = 0o700


def state() -> Path:
    """The folder of everything that belongs to running workspaces: ``.cloister``, or ``CLOISTER_STATE``."""
    return Path(os.environ.get("CLOISTER_STATE") or CHECKOUT / ".cloister").absolute()


def private_folder(folder: Path) -> Path:
    """``folder``, made if it was not there; only this user may look into it."""
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    folder.chmod(PRIVATE)
    return folder
