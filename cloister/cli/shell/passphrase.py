"""The passphrase of an encrypted key: from a file that the environment names, else typed at the terminal.

It is never an argument or a variable of its own: other programs of the machine could read it there.
"""

import getpass
import os
import shlex
import stat
import sys
import warnings
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError

FILE = "CLOISTER_KEY_PASSPHRASE_FILE"
_MOST = 1023
"""Bytes, as OpenSSL has it."""


def ask(key: str) -> bytes:
    """The passphrase of the private key ``key``. Raises InputError when there is no file and no terminal."""
    if path := os.environ.get(FILE):
        return _read(Path(path))
    if not sys.stdin.isatty():
        raise InputError(
            f"{key} is encrypted with a passphrase, and there is no terminal to ask for it.",
            hint=f"Set {FILE} to a file with the passphrase that only you can read (mode 0600).",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown as it is typed
            typed = getpass.getpass(f"Passphrase of {key}: ")
    except (EOFError, getpass.GetPassWarning) as error:
        raise InputError(
            f"{key} is encrypted with a passphrase, and none was typed.",
            hint=f"Run the command again at a terminal, or set {FILE} to a file with the passphrase.",
        ) from error
    return _checked(typed.encode("utf-8", "surrogateescape"), "The passphrase")


def _read(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = userfile.read(path, _MOST + 2)
    except OSError as error:
        raise userfile.unreadable(
            f"The passphrase file {path}",
            error,
            missing=f"Correct {FILE}, or unset it.",
        ) from error
    if mode & 0o077:
        raise InputError(
            f"Other users can read the passphrase file {path}.", hint=f"Run: chmod 600 {shlex.quote(str(path))}"
        )
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content or b"\n" in content:
        found = "more than one line" if content else "nothing"
        raise InputError(f"The passphrase file {path} holds {found}, expected one line.", hint=f"Correct {FILE}.")
    return _checked(content, f"The passphrase in {path}")


def _checked(content: bytes, passphrase: str) -> bytes:
    if not content:
        raise InputError(f"{passphrase} is empty.", hint="Run the command again, and type it.")
    if len(content) > _MOST:
        raise InputError(
            f"{passphrase} has more than {_MOST} bytes.", hint="Give the key a shorter one: ssh-keygen -p -f FILE"
        )
    return content
