"""Which news a command was told, across restarts of `watch`."""

import contextlib
import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Self

from cloister.client.files import state
from cloister.errors import InputError
from cloister.protocol import canonical

_LIMIT = 1024 * 1024
_MOST_KEPT = 256
"""Boots of machines whose news are remembered: older files are deleted."""


class ToldNews:
    """The ids of the news of one boot of a CVM that a command was told. Only one `watch` may have it."""

    def __init__(self, at: Path, ids: list[str]) -> None:
        self._at = at
        self._ids = ids

    @classmethod
    @contextlib.contextmanager
    def of(cls, party: str, event_log_key: str, argv: Sequence[str]) -> Generator[Self]:
        """For a party, a boot (both by key id) and the words of the command.

        Raises InputError when another `watch` tells the command the same news, or it cannot be read or written.
        """
        name = hashlib.sha256(canonical.encode([party, event_log_key, list(argv)])).hexdigest()
        at = state.folder("watch") / f"{name}.json"
        with state.locked(at, "Another watch tells this command the same news", tries=1):
            made = cls(at, _read(at))
            made.require_writable()
            yield made

    def __contains__(self, news_id: str) -> bool:
        return news_id in self._ids

    def add(self, news_id: str) -> None:
        """The command was told. Raises InputError."""
        self._ids.append(news_id)
        state.write(self._at, canonical.encode(self._ids))

    def require_writable(self) -> None:
        """Raise InputError now if it could not be noted what the command is told."""
        state.write(self._at, canonical.encode(self._ids))
        _forget(self._at.parent)


def _read(at: Path) -> list[str]:
    return state.read_texts(
        at,
        _LIMIT,
        InputError(f"{at} does not say which news were told.", hint="Remove it: all news are told again then."),
    )


def _forget(folder: Path) -> None:
    """Delete the oldest files, if there are too many. Those of a running watch are its newest or locked."""
    with contextlib.suppress(OSError):
        found = sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime, reverse=True)
        for one in found[_MOST_KEPT:]:
            one.unlink(missing_ok=True)
            one.with_suffix(".lock").unlink(missing_ok=True)
