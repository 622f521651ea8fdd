"""Reading histories, and accepting a change that waits."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.client.files import state
from cloister.client.history.entry import HistoryEntry
from cloister.client.history.history import BUSY, FOLDER, AcceptedChange, change_lines
from cloister.client.history.log import SUFFIX, HistoryLog
from cloister.client.history.pending import PendingChange
from cloister.errors import InputError

_NAME = re.compile(r"([a-z0-9-]{1,63})\.([0-9a-f]{64})\.jsonl")
_TOKEN = re.compile(r"[0-9a-f]{16}")
_MOST = 4096
"""Logs that are read: one for each workspace and key."""


@dataclass(frozen=True)
class WorkspaceHistory:
    """What a key has accepted in a workspace, in order. ``waiting`` is a change that ``token`` accepts, if any."""

    workspace: str
    key: str
    entries: tuple[HistoryEntry, ...]
    waiting: tuple[AcceptedChange, ...] = ()
    token: str = ""

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "workspace": self.workspace,
            "key": self.key,
            "entries": [one.value() for one in self.entries],
            "waiting": [
                {"before": one.before.value(), "after": one.after.value(), "lines": list(one.lines)}
                for one in self.waiting
            ],
            "token": self.token or None,
        }


def read_history() -> tuple[WorkspaceHistory, ...]:
    """Everything that this user's keys have accepted, by workspace.

    Raises:
        InputError: a log was changed or cut, or cannot be read.
    """
    return tuple(_read(at, workspace, key) for at, workspace, key in _logs())


def accept_change(token: str) -> None:
    """Accept a change that a command reported and refused.

    Args:
        token: its name, from the message; it names exactly this change.

    Raises:
        InputError: no such change waits, something else was accepted since, or the log was changed or is not writable.
    """
    if not _TOKEN.fullmatch(token):
        raise InputError(f"--accept must be the name of a change, 16 hexadecimal digits, not {token!r}.")
    for at, _, _ in _logs():
        pending = PendingChange.load(at)
        if pending is None or pending.token != token:
            continue
        with state.locked(at, BUSY):
            log = HistoryLog(at)
            log.load()
            pending.accept(log)
            return
    raise InputError(f"No change {token} waits for your yes.", hint="`history` shows what waits.")


def _logs() -> Iterator[tuple[Path, str, str]]:
    """Every log with its workspace and key, sorted. A log that was removed is known by its head."""
    folder = state.folder(FOLDER)
    try:
        names = {one.name.removesuffix(".head") + SUFFIX for one in folder.iterdir() if one.suffix == ".head"}
        names |= {one.name for one in folder.iterdir() if one.suffix == SUFFIX}
    except FileNotFoundError:
        return
    except OSError as error:
        raise userfile.unreadable(folder, error) from error
    for name in sorted(names)[:_MOST]:
        if found := _NAME.fullmatch(name):
            yield folder / name, found[1], found[2]


def _read(at: Path, workspace: str, key: str) -> WorkspaceHistory:
    with state.locked(at, BUSY):
        log = HistoryLog(at)
        log.load()
        pending = PendingChange.load(at)
    waiting: tuple[AcceptedChange, ...] = ()
    if pending is not None:
        waiting = tuple(
            AcceptedChange(before, after, tuple(change_lines(at.parent, before, after, pending.document(after.digest))))
            for before, after in pending.changes
        )
    return WorkspaceHistory(workspace, key, tuple(log.entries), waiting, pending.token if pending else "")
