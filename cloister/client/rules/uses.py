"""Counts the uses of a standing rule: each manifest once, before anything is sent under it."""

import contextlib
import os
import time
from collections.abc import Generator
from pathlib import Path

from cloister import userfile
from cloister.client.files import exclusive
from cloister.client.rules.rule import StandingRule
from cloister.errors import InputError
from cloister.protocol import canonical

_LIMIT = 16 * 1024 * 1024
_TRIES, _PAUSE = 200, 0.05
"""How often, and after how many seconds, a command looks whether another one has finished counting."""


def folder() -> Path:
    """``$XDG_STATE_HOME/cloister/rules``, else ``~/.local/state/cloister/rules`` (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    # The specification: a relative path is invalid, and ignored.
    return (Path(named) if named.startswith("/") else Path.home() / ".local" / "state") / "cloister" / "rules"


def count_use(rule: StandingRule, manifest_digest: bytes) -> int:
    """Count the use of a rule for a manifest, unless it was counted before; returns how many are left.

    The count belongs to what the rule says, so a copy of the file shares it. Raises InputError when none is left, or
    the count cannot be read or written: then nothing may be sent.
    """
    at = folder() / f"{rule.digest().hex()}.json"
    with _locked(at):
        used = _read(at)
        digest = manifest_digest.hex()
        if digest not in used:
            if len(used) >= rule.uses:
                raise InputError(
                    f"{rule.path} is used up: it permits {rule.uses}, and as many computations had your consent.",
                    hint="Read the manifest with `review`. If you agree, use `upload-data`, or write a new rule.",
                )
            used.append(digest)
            _write(at, used)
        return rule.uses - len(used)


@contextlib.contextmanager
def _locked(at: Path) -> Generator[None]:
    lock = at.with_suffix(".lock")
    with contextlib.ExitStack() as stack:
        for left in reversed(range(_TRIES)):
            try:
                lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(exclusive.locked(lock))
                break
            except BlockingIOError as error:
                if not left:
                    raise InputError(
                        f"Another command is counting the uses of the rule ({lock}).",
                        hint="Wait until it has ended, then run the command again.",
                    ) from error
                time.sleep(_PAUSE)
            except OSError as error:
                raise userfile.unwritable(lock, error) from error
        yield


def _read(at: Path) -> list[str]:
    """The digests of the manifests for which the rule was used."""
    try:
        data = userfile.read(at, _LIMIT)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise userfile.unreadable(at, error) from error
    try:
        value = canonical.parse_canonical(data, what="The count", limit=_LIMIT)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return list(value)
    except canonical.FormatError:
        pass
    raise InputError(
        f"{at} does not say how often the rule was used.", hint="The rule permits nothing any more: write a new rule."
    )


def _write(at: Path, used: list[str]) -> None:
    with userfile.replacing(at) as part, part.open("wb") as file:
        file.write(canonical.encode(used))
        file.flush()
        os.fsync(file.fileno())
