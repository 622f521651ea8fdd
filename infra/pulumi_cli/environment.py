"""The environment variables for ``pulumi`` in this checkout, for the verbs and, as ``.cloister/env``, for shells.

Variables that the user has set win: another backend (Pulumi Cloud, S3), another passphrase.
"""

import fcntl
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from image import disk_space
from image.inputs.lockfile import RELOCKED
from infra import paths
from infra.pulumi_cli.engine import Engine

_GUARD = f"{paths.ENVIRONMENT}.lock"
_PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def variables(engine: Engine, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to add to ``given``; PATH is complete."""
    folders = [str(Path(sys.executable).parent), str(engine.folder)]
    path = [*folders, *(part for part in given.get("PATH", os.defpath).split(os.pathsep) if part not in folders)]
    added = {"PATH": os.pathsep.join(path)}
    for name, value in _defaults().items():
        if name in _PASSPHRASE_VARIABLES and any(other in given for other in _PASSPHRASE_VARIABLES):
            continue
        if not given.get(name):
            added[name] = value
    return added


def write(engine: Engine) -> Path:
    """Write ``.cloister/env`` and the passphrase that it names, unless they are up to date; returns its path.

    Raises InputError when they cannot be written.
    """
    folder = paths.state()
    text = _text(engine)
    # Verbs that only read must work with a full disk.
    if not _is_written(folder, text):
        with disk_space.needed(folder):
            paths.private_folder(folder)
            # Two verbs may run at the same time.
            with (folder / _GUARD).open("w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                _write(folder, text)
    return folder / paths.ENVIRONMENT


def _is_written(folder: Path, text: str) -> bool:
    private = folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) == paths.PRIVATE
    with suppress(FileNotFoundError, PermissionError):
        return private and (folder / paths.PASSPHRASE).exists() and (folder / paths.ENVIRONMENT).read_text() == text
    return False


def _write(folder: Path, text: str) -> None:
    passphrase = folder / paths.PASSPHRASE
    if not passphrase.exists():
        part = folder / f"{paths.PASSPHRASE}.part"
        part.touch(mode=0o600)
        part.write_text(secrets.token_urlsafe(32) + "\n")
        part.replace(passphrase)
    part = folder / f"{paths.ENVIRONMENT}.part"
    part.write_text(text)
    part.replace(folder / paths.ENVIRONMENT)


def _text(engine: Engine) -> str:
    lines = ["# For a shell: . .cloister/env  (written by `invoke setup`; variables that are already set win)"]
    path = ":".join(shlex.quote(str(part)) for part in (Path(sys.executable).parent, engine.folder))
    lines.append(f'export PATH={path}:"$PATH"')
    for name, value in _defaults().items():
        test = f"${{{name}:-}}"
        if name in _PASSPHRASE_VARIABLES:
            test = "".join(f"${{{other}+set}}" for other in _PASSPHRASE_VARIABLES)
        lines.append(f'[ -n "{test}" ] || export {name}={shlex.quote(value)}')
    return "\n".join(lines) + "\n"


def _defaults() -> dict[str, str]:
    folder = paths.state()
    return {
        "PULUMI_BACKEND_URL": folder.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / paths.PASSPHRASE),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        # The lock that --relock may have written: the provider uses its host tools.
        "CLOISTER_LOCKS": str(RELOCKED),
    }
